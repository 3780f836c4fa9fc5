"""Simulates many feeders on one queue; see bin/simulate and docs/explanation/capacity.md."""
