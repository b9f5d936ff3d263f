"""Who is at which phone."""

from __future__ import annotations

from dataclasses import replace

from crm_core.directory import Directory
from crm_core.model import Endpoint, Role, User, UserId

AYSE = User(
    id=UserId(1),
    login="ayse",
    name="Ayşe",
    role=Role.AGENT,
    phones=(Endpoint(pbx="main", name="PJSIP/1001"), Endpoint(pbx="berlin", name="PJSIP/Ayşe")),
)
BORIS = User(
    id=UserId(2),
    login="boris",
    name="Борис",
    role=Role.AGENT,
    phones=(Endpoint(pbx="berlin", name="PJSIP/1001"),),
)


def test_a_phone_is_one_of_its_pbx() -> None:
    directory = Directory()
    directory.replace([AYSE, BORIS])
    assert directory.at("main", "PJSIP/1001") is AYSE
    assert directory.at("berlin", "pjsip/1001") is BORIS
    assert directory.at("berlin", "PJSIP/AYŞE") is AYSE
    assert directory.at("main", "PJSIP/1002") is None
    assert directory.get(BORIS.id) is BORIS
    assert directory.get(None) is None
    assert directory.get(UserId(9)) is None


def test_who_was_replaced_or_is_inactive_is_unknown() -> None:
    directory = Directory()
    directory.replace([AYSE, BORIS])
    directory.replace([replace(AYSE, active=False), BORIS])
    assert directory.all() == [BORIS]
    assert directory.at("main", "PJSIP/1001") is None
    assert directory.get(AYSE.id) is None


def test_watchers_are_told_of_changes_alone() -> None:
    directory = Directory()
    told: list[int] = []
    directory.watch(lambda: told.append(len(directory.all())))
    directory.replace([])
    directory.replace([AYSE])
    directory.replace([AYSE, replace(BORIS, active=False)])
    directory.replace([AYSE, BORIS])
    directory.replace([replace(AYSE, team="sales"), BORIS])
    assert told == [1, 2, 2]
