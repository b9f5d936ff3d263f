"""Asterisk's manager interface, against scripted servers and recorded streams."""
