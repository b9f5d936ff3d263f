"""The real server that mail tests use."""

from __future__ import annotations

from tests.lab.fixtures import dovecot  # noqa: F401 - pytest finds fixtures by their names
