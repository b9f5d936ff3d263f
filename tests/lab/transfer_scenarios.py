"""Stories with transfers, pickup and parking."""

from __future__ import annotations
