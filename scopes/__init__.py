"""What a grant may do: scopes, limits and the one decision. Pure: no I/O, no clock, no logging."""
