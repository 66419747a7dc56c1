"""SMTP submission: grammar, legs and transaction as pure state machines, and thin shells around them."""
