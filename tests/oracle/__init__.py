"""The oracle: an independent witness of what really happened, and its judge. It imports nothing of rq_py."""
