"""Measures rq_py beside what people would use instead and beside the physical limit; see bin/bench."""
