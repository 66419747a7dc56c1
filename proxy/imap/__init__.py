"""IMAP: grammar, the two legs as pure state machines, and one thin front-end that joins them."""
