"""Signing in without HTTP: limits of time, of tries and of work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from agent_ui.auth import Auth, SignInRefusedError, token_hash
from agent_ui.settings import SignInLimits
from crm_core.memory import MemoryStore
from crm_core.model import User

from .scene import AT, CHEAP, Clock


@dataclass
class Gate:
    """An `Auth` with its people and its clocks."""

    auth: Auth
    store: MemoryStore
    user: User
    clock: Clock
    ended: list[bytes] = field(default_factory=list)
    now: datetime = AT

    async def try_(
        self,
        password: str = "right",  # noqa: S107 - a test password
        *,
        login: str = "ayse",
        at: str = "1.1.1.1",
    ) -> str:
        """`in`, or why not."""
        try:
            await self.auth.sign_in(login, password, address=at)
        except SignInRefusedError as error:
            return error.code
        return "in"


@asynccontextmanager
async def gate(**limits: Any) -> AsyncIterator[Gate]:
    store = MemoryStore()
    async with store.begin() as uow:
        user = await uow.users.add(
            login="ayse", name="Ayşe", role="agent", password_hash=CHEAP.hash("right")
        )
        await uow.commit()
    clock = Clock()
    ended: list[bytes] = []
    opened: Gate
    with Auth(
        store,
        SignInLimits(**limits),
        ended=ended.append,
        clock=clock,
        now=lambda: opened.now,
        hasher=CHEAP,
    ) as auth:
        opened = Gate(auth=auth, store=store, user=user, clock=clock, ended=ended)
        yield opened


async def test_only_the_hash_of_the_token_is_stored() -> None:
    async with gate() as g:
        token, _ = await g.auth.sign_in("ayse", "right", address="1.1.1.1")
        assert list(g.store.tables.sessions) == [token_hash(token)]
        assert token not in repr(g.store.tables)
        who = await g.auth.who(token)
        assert who is not None
        assert who.user.login == "ayse"


async def test_an_unused_session_ends() -> None:
    async with gate(idle_hours=1) as g:
        token, _ = await g.auth.sign_in("ayse", "right", address="1.1.1.1")
        for _ in range(3):
            g.now += timedelta(minutes=59)
            assert await g.auth.who(token) is not None
        g.now += timedelta(minutes=61)
        assert await g.auth.who(token) is None
        assert g.store.tables.sessions == {}


async def test_a_session_ends_however_much_it_is_used() -> None:
    async with gate(idle_hours=10, absolute_hours=12) as g:
        token, _ = await g.auth.sign_in("ayse", "right", address="1.1.1.1")
        g.now += timedelta(hours=7)
        assert await g.auth.who(token) is not None
        g.now += timedelta(hours=5)
        assert await g.auth.who(token) is None


async def test_a_user_who_left_is_out() -> None:
    async with gate() as g:
        token, _ = await g.auth.sign_in("ayse", "right", address="1.1.1.1")
        g.store.tables.users[g.user.id] = replace(g.user, active=False)
        assert await g.auth.who(token) is None
        assert await g.try_() == "bad_credentials"
        link = await g.auth.make_link(g.user.id)
        assert await g.auth.use_link(link) is None


async def test_a_user_without_a_password_cannot_sign_in_with_one() -> None:
    async with gate() as g:
        async with g.store.begin() as uow:
            await uow.users.set_password_hash(g.user.id, None)
            await uow.commit()
        for password in ("", "None", "right"):
            assert await g.try_(password) == "bad_credentials"


async def test_an_old_link_is_no_good() -> None:
    async with gate() as g:
        link = await g.auth.make_link(g.user.id, lifetime=timedelta(minutes=5))
        g.now += timedelta(minutes=6)
        assert await g.auth.use_link(link) is None


async def test_failures_are_counted_by_login_and_address() -> None:
    async with gate(
        failures_per_login_and_address=3, failures_per_login=6, failures_per_address=5
    ) as g:
        for _ in range(3):
            assert await g.try_("wrong") == "bad_credentials"
        assert await g.try_() == "too_many_tries"
        assert await g.try_(at="2.2.2.2") == "in"  # a stranger does not lock her out
        for login in ("x", "y"):
            assert await g.try_("wrong", login=login) == "bad_credentials"
        assert await g.try_("wrong", login="z") == "too_many_tries"
        g.clock.now += 301
        assert await g.try_() == "in"


async def test_unknown_logins_are_limited_like_known_ones() -> None:
    async with gate(failures_per_login_and_address=2) as g:
        answers = [await g.try_("wrong", login="nobody") for _ in range(3)]
        assert answers == ["bad_credentials", "bad_credentials", "too_many_tries"]


async def test_the_right_password_forgives() -> None:
    async with gate(failures_per_login_and_address=3) as g:
        for _ in range(4):
            await g.try_("wrong")
            await g.try_("wrong")
            assert await g.try_() == "in"


async def test_only_so_many_checks_wait() -> None:
    async with gate(waiting=2, failures_per_login_and_address=100) as g:
        async with asyncio.TaskGroup() as tasks:
            tries = [tasks.create_task(g.try_("wrong")) for _ in range(20)]
        codes = {task.result() for task in tries}
        assert codes == {"bad_credentials", "busy"}


async def test_a_password_without_end_is_not_hashed() -> None:
    async with gate() as g:
        assert await g.try_("x" * 10_000_000) == "bad_credentials"


async def test_a_broken_hash_is_a_wrong_password() -> None:
    async with gate() as g:
        async with g.store.begin() as uow:
            await uow.users.set_password_hash(g.user.id, "$nonsense$")
            await uow.commit()
        assert await g.try_() == "bad_credentials"


@pytest.mark.parametrize("token", ["", "x", "\ud800", "x" * 5000])
async def test_a_made_up_token_is_nobody(token: str) -> None:
    async with gate() as g:
        assert await g.auth.who(token) is None


async def test_open_pages_keep_their_sessions_and_learn_of_changes() -> None:
    async with gate(idle_hours=1) as g:
        first, _ = await g.auth.sign_in("ayse", "right", address="1.1.1.1")
        second, _ = await g.auth.sign_in("ayse", "right", address="1.1.1.1")
        tokens = [token_hash(first), token_hash(second), b"made up"]
        assert await g.auth.still_signed_in(tokens) == dict.fromkeys(tokens[:2], g.user)
        g.now += timedelta(minutes=40)
        assert await g.auth.still_signed_in(tokens[:1]) == {tokens[0]: g.user}
        g.now += timedelta(minutes=40)
        assert await g.auth.still_signed_in(tokens) == {tokens[0]: g.user}, "the other was idle"
        async with g.store.begin() as uow:
            changed = await uow.users.change(g.user.id, team="sales")
            await uow.commit()
        assert await g.auth.still_signed_in(tokens) == {tokens[0]: changed}
        async with g.store.begin() as uow:
            await uow.users.change(g.user.id, active=False)
            await uow.commit()
        assert await g.auth.still_signed_in(tokens) == {}


async def test_tries_at_the_same_time_are_counted_too() -> None:
    async with gate(failures_per_login_and_address=3) as g:
        results = await asyncio.gather(*(g.try_("wrong") for _ in range(8)))
        assert sorted(results) == ["bad_credentials"] * 3 + ["too_many_tries"] * 5


async def test_people_who_sign_in_at_the_same_time_do_not_lock_each_other_out() -> None:
    async with gate(failures_per_address=5) as g:
        for _ in range(5):
            assert await asyncio.gather(*(g.try_() for _ in range(4))) == ["in"] * 4


@pytest.mark.parametrize("network", ["2001:db8:0:1::", "::ffff:10.0.0.1"])
async def test_one_who_has_a_whole_network_is_one(network: str) -> None:
    """A provider gives each line 2 to the power of 64 addresses of IPv6."""
    async with gate(failures_per_address=3) as g:
        for number in range(3):
            at = f"{network}{number + 1:x}" if network.endswith("::") else network
            assert await g.try_(login=f"nobody{number}", at=at) == "bad_credentials"
        at = f"{network}ffff" if network.endswith("::") else "10.0.0.1"
        assert await g.try_(at=at) == "too_many_tries"
        assert await g.try_(at="2001:db8:0:2::1") == "in"
