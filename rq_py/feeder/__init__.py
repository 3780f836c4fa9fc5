"""The feeder: one process per node, user and queue that claims jobs and has the runner launch them."""
