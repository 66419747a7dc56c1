"""Sockets: accept, connect, TLS and the relay. Knows no protocol and no account."""
