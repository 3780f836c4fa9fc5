"""Everything together, through the command line: many processes, several nodes, two users."""
