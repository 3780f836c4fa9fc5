"""Changing jobs that are in the queue: delete, update, resubmit, touch; each for all of them at once."""
