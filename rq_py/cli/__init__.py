"""The command line: one file per mode; each parses, makes one call into the API, and prints."""
