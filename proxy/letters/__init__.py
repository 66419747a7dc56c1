"""The mails of the gate itself: what they say, and how they are written. Pure."""
