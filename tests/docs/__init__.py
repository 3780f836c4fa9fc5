"""Tests of the documents: their examples run, their links lead somewhere, the reference is up to date."""
