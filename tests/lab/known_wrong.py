"""Recorded stories that the tracker gets wrong: the ground truth stands, the tracker must change.

The recorder writes the reason into the story's ``.json`` as ``"tracker": "known wrong: …"``; the
test of the tracker expects exactly these to fail.
"""

from __future__ import annotations

BY_LOCAL = "direction, dialled number and role of an agent who is called through a Local channel"
BEHIND_LOCAL = (
    "blonde to the trunk instead of attended to 1004, for the agent behind a Local member"
)

KNOWN_WRONG: dict[str, str] = {
    "click_to_call/by_local_answered": BY_LOCAL,
    "click_to_call/by_local_customer_busy": (
        "direction, dialled number, role and outcome of an agent called through a Local channel"
    ),
    "forward/to_mobile_busy": "no_answer instead of busy, for the phone that only sent callers on",
    "transfer/click_to_call_by_local_blind_answered": BY_LOCAL,
    "transfer/fpbx_queue_call_attended_answered": BEHIND_LOCAL,
    "asterisk_16/click_to_call_by_local_answered": BY_LOCAL,
    "asterisk_16/transfer_fpbx_queue_call_attended_answered": BEHIND_LOCAL,
    "two_pbxs/looped_back": (
        "two calls: nothing in the stream but number and name joins the call that comes back"
    ),
}
"""Trace (``area/who_does_what``) to what the tracker says instead."""
