"""The feeder: its parts by themselves, and real feeders that are drained, stopped, replaced and killed."""
