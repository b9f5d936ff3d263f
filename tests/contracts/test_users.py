"""What every store promises about users, their sessions and sign-in links."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from crm_core.errors import Conflict, NotFound, StoreUnavailable
from crm_core.model import Endpoint, Role, User, UserId
from crm_core.ports import SignInSession, Store
from tests.contracts.conftest import NOW

TOKEN = bytes(range(32))


async def add(store: Store, login: str = "deniz", **fields: object) -> User:
    async with store.begin() as uow:
        user = await uow.users.add(login=login, name="Deniz Kaya", role="agent", **fields)  # type: ignore[arg-type]
        await uow.commit()
    return user


def session(user: UserId, token: bytes = TOKEN) -> SignInSession:
    return SignInSession(
        token_sha256=token,
        user=user,
        created_at=NOW,
        last_seen_at=NOW,
        expires_at=NOW + timedelta(hours=8),
    )


async def test_a_user_comes_back_as_given(store: Store) -> None:
    phones = [("main", "PJSIP/1001"), ("branch", "PJSIP/1001")]
    user = await add(
        store,
        "Deniz@Example",
        team="sales",
        language="tr",
        email="deniz@example.com",
        phones=phones,
        password_hash="hash",
    )
    assert user == User(
        id=user.id,
        login="deniz@example",
        name="Deniz Kaya",
        role=Role.AGENT,
        team="sales",
        language="tr",
        email="deniz@example.com",
        phones=tuple(Endpoint(pbx=pbx, name=name) for pbx, name in phones),
    )
    async with store.begin() as uow:
        assert await uow.users.get(user.id) == user
        assert await uow.users.by_login("DENIZ@example") == (user, "hash")
        assert await uow.users.all() == [user]
        assert await uow.users.get(UserId(99)) is None
        assert await uow.users.by_login("nobody\x00\ud800") is None


async def test_a_login_is_taken_once(store: Store) -> None:
    await add(store)
    with pytest.raises(Conflict):
        await add(store, "DENIZ")
    async with store.begin() as uow:
        assert len(await uow.users.all()) == 1


async def test_a_phone_belongs_to_one_user(store: Store) -> None:
    await add(store, phones=[("main", "PJSIP/1001")])
    async with store.begin() as uow:
        with pytest.raises(Conflict):
            await uow.users.add(
                login="ali",
                name="Ali",
                role="agent",
                phones=[("main", "PJSIP/1002"), ("main", "PJSIP/1001")],
            )
        with pytest.raises(StoreUnavailable):
            await uow.commit()  # half a user is none
    async with store.begin() as uow:
        assert [user.login for user in await uow.users.all()] == ["deniz"]
    await add(store, "ali", phones=[("other", "PJSIP/1001")])


async def test_a_user_changes_and_the_rest_stays(store: Store) -> None:
    user = await add(
        store,
        team="sales",
        phones=[("main", "PJSIP/1001"), ("main", "PJSIP/1002")],
        email="d@x.org",
    )
    async with store.begin() as uow:
        changed = await uow.users.change(
            user.id,
            name="Deniz Kaya-Ak",
            role="supervisor",
            remove_phones=[("main", "PJSIP/1001")],
            add_phones=[("main", "PJSIP/1003"), ("main", "PJSIP/1002"), ("main", "PJSIP/1003")],
        )
        await uow.commit()
    assert changed == replace(
        user,
        name="Deniz Kaya-Ak",
        role=Role.SUPERVISOR,
        phones=(
            Endpoint(pbx="main", name="PJSIP/1002"),
            Endpoint(pbx="main", name="PJSIP/1003"),
        ),
    )
    async with store.begin() as uow:
        assert await uow.users.get(user.id) == changed
        assert await uow.users.change(user.id) == changed
        emptied = await uow.users.change(user.id, team="", email="")
        assert emptied == replace(changed, team="", email="")


async def test_a_change_that_cannot_be_changes_nothing(store: Store) -> None:
    user = await add(store, phones=[("main", "PJSIP/1001")])
    await add(store, "ali", phones=[("main", "PJSIP/1002")])
    for phones, error in (
        ({"add_phones": [("main", "PJSIP/1003"), ("main", "PJSIP/1002")]}, Conflict),
        ({"remove_phones": [("main", "PJSIP/1002")]}, NotFound),
        ({"remove_phones": [("other", "PJSIP/1001")]}, NotFound),
    ):
        async with store.begin() as uow:
            with pytest.raises(error):
                await uow.users.change(user.id, name="X", **phones)  # type: ignore[arg-type]
            with pytest.raises(StoreUnavailable):
                await uow.commit()
    async with store.begin() as uow:
        with pytest.raises(NotFound):
            await uow.users.change(UserId(99), name="X")
        assert await uow.users.get(user.id) == user


async def test_who_is_no_longer_active_is_signed_out(store: Store) -> None:
    user = await add(store)
    other = await add(store, "ali")
    async with store.begin() as uow:
        for token, whose in ((TOKEN, user), (b"y" * 32, other)):
            await uow.users.open_session(session(whose.id, token))
            await uow.users.add_link(token, user=whose.id, expires_at=NOW + timedelta(minutes=10))
        await uow.users.change(user.id, role="supervisor")
        assert await uow.users.session(TOKEN) is not None
        changed = await uow.users.change(user.id, active=False)
        await uow.commit()
    assert not changed.active
    async with store.begin() as uow:
        assert await uow.users.session(TOKEN) is None
        assert await uow.users.use_link(TOKEN, at=NOW) is None
        assert await uow.users.session(b"y" * 32) is not None
        assert await uow.users.use_link(b"y" * 32, at=NOW) == other.id
        assert (await uow.users.change(user.id, active=True)).active


async def test_many_sessions_at_once(store: Store) -> None:
    user = await add(store)
    tokens = [bytes([at]) * 32 for at in range(5)]
    later = NOW + timedelta(minutes=5)
    async with store.begin() as uow:
        for token in tokens:
            await uow.users.open_session(session(user.id, token))
        await uow.users.touch_session(*tokens[:2], b"x" * 32, seen_at=later)
        await uow.users.touch_session(seen_at=later)
        await uow.commit()
    async with store.begin() as uow:
        found = await uow.users.sessions([*tokens[:3], tokens[0], b"x" * 32])
        assert sorted((one.token_sha256, one.last_seen_at) for one in found) == [
            (tokens[0], later),
            (tokens[1], later),
            (tokens[2], NOW),
        ]
        assert await uow.users.sessions([]) == []


async def test_what_has_expired_is_forgotten_at_the_next_sign_in(store: Store) -> None:
    user = await add(store)
    later = NOW + timedelta(hours=8)
    async with store.begin() as uow:
        await uow.users.open_session(session(user.id))
        await uow.users.add_link(TOKEN, user=user.id, expires_at=later)
        await uow.users.open_session(replace(session(user.id, b"y" * 32), created_at=later))
        await uow.commit()
    async with store.begin() as uow:
        assert await uow.users.session(TOKEN) is None
        assert await uow.users.use_link(TOKEN, at=NOW) is None


async def test_sessions(store: Store) -> None:
    user = await add(store)
    async with store.begin() as uow:
        await uow.users.open_session(session(user.id))
        await uow.commit()
    async with store.begin() as uow:
        assert await uow.users.session(TOKEN) == session(user.id)
        assert await uow.users.session(b"x" * 32) is None
        await uow.users.touch_session(TOKEN, seen_at=NOW + timedelta(minutes=5))
        await uow.users.touch_session(b"x" * 32, seen_at=NOW)
        await uow.commit()
    async with store.begin() as uow:
        found = await uow.users.session(TOKEN)
        assert found is not None
        assert found.last_seen_at == NOW + timedelta(minutes=5)
        await uow.users.close_session(TOKEN)
        await uow.users.close_session(TOKEN)
        await uow.commit()
    async with store.begin() as uow:
        assert await uow.users.session(TOKEN) is None


async def test_a_new_password_ends_the_sessions_and_links_of_that_user(store: Store) -> None:
    user = await add(store, password_hash="old")
    other = await add(store, "ali")
    async with store.begin() as uow:
        await uow.users.open_session(session(user.id))
        await uow.users.open_session(session(other.id, b"y" * 32))
        await uow.users.add_link(TOKEN, user=user.id, expires_at=NOW + timedelta(minutes=10))
        await uow.users.set_password_hash(user.id, "new")
        await uow.commit()
    async with store.begin() as uow:
        assert await uow.users.session(TOKEN) is None
        assert await uow.users.use_link(TOKEN, at=NOW) is None
        assert await uow.users.session(b"y" * 32) is not None
        found = await uow.users.by_login("deniz")
        assert found is not None
        assert found[1] == "new"
        with pytest.raises(NotFound):
            await uow.users.set_password_hash(UserId(99), None)


async def test_a_link_works_once_and_not_too_late(store: Store) -> None:
    user = await add(store)
    async with store.begin() as uow:
        await uow.users.add_link(TOKEN, user=user.id, expires_at=NOW + timedelta(minutes=10))
        await uow.users.add_link(b"z" * 32, user=user.id, expires_at=NOW)
        await uow.commit()
    async with store.begin() as uow:
        assert await uow.users.use_link(b"x" * 32, at=NOW) is None
        assert await uow.users.use_link(b"z" * 32, at=NOW) is None
        assert await uow.users.use_link(TOKEN, at=NOW) == user.id
    async with store.begin() as uow:
        assert await uow.users.use_link(TOKEN, at=NOW) == user.id, "not committed, so not used"
        await uow.commit()
    async with store.begin() as uow:
        assert await uow.users.use_link(TOKEN, at=NOW) is None


async def test_of_two_who_use_a_link_at_once_one_gets_in(store: Store) -> None:
    user = await add(store)
    async with store.begin() as uow:
        await uow.users.add_link(TOKEN, user=user.id, expires_at=NOW + timedelta(minutes=10))
        await uow.commit()

    async def use() -> UserId | None:
        async with store.begin() as uow:
            used = await uow.users.use_link(TOKEN, at=NOW)
            await asyncio.sleep(0)
            await uow.commit()
            return used

    async with asyncio.timeout(5):
        results = await asyncio.gather(*(use() for _ in range(5)))
    assert sorted(results, key=str) == [user.id, None, None, None, None]


async def test_sessions_and_links_need_a_user(store: Store) -> None:
    async with store.begin() as uow:
        with pytest.raises(NotFound):
            await uow.users.open_session(session(UserId(99)))
    async with store.begin() as uow:
        with pytest.raises(NotFound):
            await uow.users.add_link(TOKEN, user=UserId(99), expires_at=NOW)


async def test_a_unit_whose_statement_failed_cannot_commit(store: Store) -> None:
    """Nobody may believe that something was kept which PostgreSQL has rolled back."""
    async with store.begin() as uow:
        await uow.users.add(login="deniz", name="Deniz", role="agent")
        with pytest.raises(NotFound):
            await uow.users.add_link(TOKEN, user=UserId(99), expires_at=NOW)
        with pytest.raises(StoreUnavailable):
            await uow.commit()
    async with store.begin() as uow:
        assert await uow.users.all() == []
