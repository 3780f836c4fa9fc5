"""Tests of bin/bench: its statistics, verdicts and tables, on results that are given. Nothing is timed."""
