"""What every store promises about its transactions."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from crm_core.model import Direction, Match, MatchResult, Medium, Outcome, Party, PartyKind
from crm_core.ports import ContactDraft, NewTouch, Store
from tests.contracts.conftest import NOW


def call(key: str = "call:main-1") -> NewTouch:
    return NewTouch(
        key=key,
        medium=Medium.PHONE,
        direction=Direction.INBOUND,
        outcome=Outcome.IN_PROGRESS,
        at=NOW,
        party=Party(kind=PartyKind.PHONE, address="+905321234567"),
        match=Match(result=MatchResult.UNKNOWN, party="+905321234567"),
    )


async def test_nothing_stays_without_a_commit(store: Store) -> None:
    async with store.begin() as uow:
        await uow.touches.open(call())
        await uow.contacts.upsert(ContactDraft(name="Ayşe"))
        assert await uow.touches.by_key("call:main-1") is not None, "a unit sees what it wrote"
    async with store.begin() as uow:
        assert await uow.touches.by_key("call:main-1") is None
        assert await uow.contacts.count() == 0


async def test_an_error_rolls_back_and_frees_the_store(store: Store) -> None:
    async def failing() -> None:
        async with store.begin() as uow:
            await uow.touches.open(call())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    async with store.begin() as uow:
        _touch, created = await uow.touches.open(call())
        await uow.commit()
    assert created


async def test_nobody_sees_what_is_not_committed(store: Store) -> None:
    async with store.begin() as writer:
        await writer.touches.open(call())
        async with store.begin() as reader:
            assert await reader.touches.by_key("call:main-1") is None
        await writer.commit()
    async with store.begin() as reader:
        assert await reader.touches.by_key("call:main-1") is not None


async def test_two_units_that_open_the_same_touch_get_one(store: Store) -> None:
    first_is_open = asyncio.Event()

    async def first() -> tuple[int, bool]:
        async with store.begin() as uow:
            touch, created = await uow.touches.open(call())
            first_is_open.set()
            await asyncio.sleep(0)  # let the second one try
            await uow.commit()
            return touch.id, created

    async def second() -> tuple[int, bool]:
        await first_is_open.wait()
        async with store.begin() as uow:
            touch, created = await uow.touches.open(call())
            await uow.commit()
            return touch.id, created

    async with asyncio.timeout(5):
        one, two = await asyncio.gather(first(), second())
    assert one[0] == two[0]
    assert (one[1], two[1]) == (True, False)


async def test_many_writers_at_once_all_get_through(store: Store) -> None:
    async def work(number: int) -> None:
        async with store.begin() as uow:
            # Reading first is what makes naive SQLite transactions fail.
            assert await uow.touches.by_key(f"call:{number}") is None
            await uow.touches.open(call(f"call:{number}"))
            await uow.commit()

    async with asyncio.timeout(30):
        await asyncio.gather(*(work(number) for number in range(60)))
    async with store.begin() as uow:
        touches, _ = await uow.touches.page(limit=100)
    assert len(touches) == 60


async def test_a_cancelled_unit_leaves_nothing_and_blocks_nobody(store: Store) -> None:
    async def cancelled_after(seconds: float) -> None:
        async with asyncio.timeout(seconds), store.begin() as uow:
            for number in range(10_000):
                await uow.touches.open(call(f"call:{number}"))
            await asyncio.Event().wait()

    for seconds in (0.0, 0.001, 0.002, 0.003, 0.004, 0.006, 0.01, 0.05):
        with pytest.raises(TimeoutError):
            await cancelled_after(seconds)
        async with asyncio.timeout(5), store.begin() as uow:
            assert await uow.touches.by_key("call:0") is None
            _, created = await uow.touches.open(call(f"call:after {seconds}"))
            assert created
            await uow.commit()


async def test_what_was_committed_stays_when_the_unit_goes_on(store: Store) -> None:
    async with store.begin() as uow:
        await uow.touches.open(call("call:1"))
        await uow.commit()
        await uow.touches.open(call("call:2"))
    async with store.begin() as uow:
        assert await uow.touches.by_key("call:1") is not None
        assert await uow.touches.by_key("call:2") is None


async def test_an_empty_unit_may_commit(store: Store) -> None:
    async with store.begin() as uow:
        await uow.commit()


async def test_ping_and_close(store: Store) -> None:
    await store.ping()
    await store.close()
    await store.close()


async def test_times_come_back_exact_and_in_utc(store: Store) -> None:
    async with store.begin() as uow:
        new, _ = await uow.touches.open(call())
        changed = await uow.touches.change(new.id, ended_at=NOW + timedelta(microseconds=1))
        await uow.commit()
    async with store.begin() as uow:
        found = await uow.touches.get(new.id)
    assert found == changed
    assert found.at == NOW
    assert found.at.utcoffset() == timedelta(0)
    assert found.ended_at == NOW + timedelta(microseconds=1)
