"""The log an administrator works with: its words, its lines and how they are written."""
