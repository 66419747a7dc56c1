"""How it is set up: one TOML file, checked whole, every error with file, key and hint."""
