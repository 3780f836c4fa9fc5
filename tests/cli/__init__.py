"""Tests of the command line: each runs ``rqpy`` as its own process, or one part of it that is pure."""
