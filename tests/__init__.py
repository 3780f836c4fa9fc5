"""The tests: one folder per part of the house, each with its own ``conftest.py`` where it needs one."""
