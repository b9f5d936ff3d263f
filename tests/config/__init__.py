"""Tests of settings, commands, the daemon and the demo."""
