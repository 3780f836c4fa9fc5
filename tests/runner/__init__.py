"""Tests of the runner: real processes, real signals, a real socket."""
