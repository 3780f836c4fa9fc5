"""Torture: a queue under load whose processes are killed and stopped at random, judged by the oracle."""
