"""Tests of the store: transactions, kills, generations, schema. Real SQLite, real processes."""
