"""Tests of the formats: what is written, PyYAML reads back the same; what is read, is checked."""
