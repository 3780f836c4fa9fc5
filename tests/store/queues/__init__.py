"""Queues of every schema that was ever released, as archives, and how they were made.

``python -m tests.store.queues`` writes the one of the present schema. It is made once, before the first
release with that schema, and never again: a queue of somebody's is not made again either.
"""
