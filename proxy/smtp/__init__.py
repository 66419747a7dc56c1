"""SMTP submission: grammar, the two legs as pure state machines, and the thin shell that joins them."""
