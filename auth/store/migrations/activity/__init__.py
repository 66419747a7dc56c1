"""The history of the file that only remembers what happened."""
