"""Models: the protocols in Promela, checked by spin, and the Queue API against a reference."""
