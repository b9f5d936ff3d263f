"""What a quick constructor makes is what the slow one makes."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from cti.ami import events
from cti.ami.quick import quick

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
