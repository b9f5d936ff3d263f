"""What a quick constructor makes is what the slow one makes."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from cti.ami import events
from cti.ami.quick import quick, stamped

KINDS: list[type[Any]] = [
    kind
    for kind in vars(events).values()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind)
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_same_object_either_way(kind: type[Any]) -> None:
    needed = {
        field.name: f"a {field.name}"
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING
    }
    every = {field.name: f"a {field.name}" for field in dataclasses.fields(kind)}
    slow: Any = kind
    fast: Any = quick(kind)
    for given in (needed, every):
        made = fast(**given)
        assert type(made) is kind
        assert made == slow(**given)
        assert hash(made) == hash(slow(**given))
        assert repr(made) == repr(slow(**given))
        assert copy.deepcopy(made) == pickle.loads(pickle.dumps(made)) == made  # noqa: S301
        for name in every:
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(made, name, "changed")
            with pytest.raises(dataclasses.FrozenInstanceError):
                delattr(made, name)
    with pytest.raises(TypeError):
        fast(nonsense=1)


@pytest.mark.parametrize("kind", [events.QueueMember, events.DeviceStateChange])
def test_a_stamped_copy_differs_in_its_time_and_number_alone(kind: type[Any]) -> None:
    every = {field.name: f"a {field.name}" for field in dataclasses.fields(kind)}
    made = kind(**every)
    copied = stamped(kind)(made, 5.0, 7)
    assert type(copied) is kind
    assert copied == dataclasses.replace(made, at=5.0, seq=7)
    assert made == kind(**every)
    with pytest.raises(dataclasses.FrozenInstanceError):
        copied.at = 6.0
