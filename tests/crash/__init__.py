"""Sweeps over every system call of an operation: it is killed there, or the call fails there."""
