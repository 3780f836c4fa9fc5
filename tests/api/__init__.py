"""Tests of the Python API: claims, submission, staging, creation, status, settings."""
