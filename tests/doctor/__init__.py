"""Tests of ``rqpy doctor``: on real directories, with real processes as second process and as peers."""
