"""The servers behind the gate: where they are, and how the gate signs in there for an account."""
