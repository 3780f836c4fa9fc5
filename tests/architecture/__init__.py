"""Tests of the house itself: who imports whom, what a started process has loaded, how files look."""
