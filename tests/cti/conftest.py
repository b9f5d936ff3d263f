"""What all tests of telephony share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cti.playbook import Playbook


@pytest.fixture(autouse=True)
def _plays_are_finished(request: pytest.FixtureRequest) -> Iterator[None]:
    """A play that nobody finished would prove nothing."""
    Playbook.unfinished.clear()
    failed = request.session.testsfailed
    yield
    unfinished = list(Playbook.unfinished)
    Playbook.unfinished.clear()
    if request.session.testsfailed == failed:
        assert not unfinished, "a Playbook was neither over() nor goes_on()"
