"""Recorded stories that the tracker gets wrong: the ground truth stands, the tracker must change.

The recorder writes the reason into the story's ``.json`` as ``"tracker": "known wrong: …"``; the
test of the tracker expects exactly these to fail.
"""

from __future__ import annotations

KNOWN_WRONG: dict[str, str] = {}
"""Trace (``area/who_does_what``) to what the tracker says instead."""
