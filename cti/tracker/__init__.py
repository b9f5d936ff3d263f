"""Events in, call changes out.

- `tracker`: `CallTracker`, one handler for each kind of event. Start here.
- `graph`: channels, bridges and Local pairs: who can hear whom.
- `calls`: what is known about a call in progress, and its seconds.
- `outcomes`: how a leg and a call ended.
- `endpoints`: which endpoints are phones of ours and which lead outside.

Pure: no clock, no socket, no database. The same events always give the same changes.
"""

from __future__ import annotations

from cti.tracker.endpoints import EndpointRules
from cti.tracker.tracker import CallTracker

__all__ = ["CallTracker", "EndpointRules"]
