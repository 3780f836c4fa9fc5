"""The runner: a separate program that holds ready-made shells and running jobs. Standard library only."""
