"""Scripted servers: small real servers of the test, with any misbehaviour laid over them."""
