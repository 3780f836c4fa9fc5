"""Copies of a queue: snapshot, backup, rotation, and what repairs and locks one."""
