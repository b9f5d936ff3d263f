"""The real Asterisk, for the tests that ask for it."""

from __future__ import annotations

from tests.lab.fixtures import asterisk

__all__ = ["asterisk"]
