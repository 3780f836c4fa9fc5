"""The fcntl queue lock, leases and owner identity. Knows nothing of jobs or SQL."""
