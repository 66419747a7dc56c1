"""A backup as one file: what is in it, how it is written and read."""
