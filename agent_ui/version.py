"""Which version of Santral runs, as pages and documents say it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """The installed version, `"0"` when run from a directory that was never installed."""
    try:
        return version("santral")
    except PackageNotFoundError:
        return "0"
