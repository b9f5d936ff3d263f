"""Recorded stories that the tracker gets wrong: the ground truth stands, the tracker must change.

The recorder writes the reason into the story's ``.json`` as ``"tracker": "known wrong: …"``; the
test of the tracker expects exactly these to fail.
"""

from __future__ import annotations

KNOWN_WRONG: dict[str, str] = {
    "two_pbxs/looped_back": (
        "two calls: nothing in the stream but number and name joins the call that comes back"
    ),
}
"""Trace (``area/who_does_what``) to what the tracker says instead."""
