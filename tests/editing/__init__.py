"""Tests of delete, update, resubmit and touch, of the jobs that stdin names, and of their pipes."""
