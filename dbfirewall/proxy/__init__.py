"""Sockets, TLS, sessions, upstream: the only place that owns connections."""
