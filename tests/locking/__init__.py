"""Tests of the queue lock, its records, leases, looks and mounts."""
