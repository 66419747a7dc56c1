"""The server: listeners, front-ends, upstreams and the command line."""
