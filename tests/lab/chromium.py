"""The Chromium of this machine, and how a test starts it without traffic of its own."""

from __future__ import annotations

from pathlib import Path

from tests.lab.processes import missing

CANDIDATES = (Path("/usr/bin/chromium"), Path("/usr/bin/chromium-browser"))

ARGUMENTS = (
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-sync",
)
"""For Playwright's ``chromium.launch(executable_path=…, args=…)``."""


def chromium_path() -> Path:
    """Return the browser's program, or raise `NotInstalledError`."""
    for candidate in CANDIDATES:
        if candidate.exists():
            return candidate
    raise missing("Chromium", "chromium")
