"""The lab's own tests use all of its fixtures."""

from __future__ import annotations

from tests.lab.fixtures import (  # noqa: F401 - pytest finds fixtures by their names
    asterisk,
    chromium_path,
    dovecot,
    fresh_asterisk,
    phones,
    postgres,
    postgres_database,
)
