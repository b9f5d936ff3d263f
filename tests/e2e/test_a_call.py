"""A caller dials a number on the real Asterisk, a SIP phone rings, the agent's page shows who."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, Page, expect

from crm_core.db.store import open_store
from crm_core.model import Medium, Touch
from tests.e2e.conftest import MakeDaemon, people, settings, sign_in
from tests.e2e.daemon import Daemon
from tests.lab.asterisk import Asterisk, Did
from tests.lab.phones import Phones
from tests.lab.sipp import HOSTILE_NAME, SippCall

pytestmark = [pytest.mark.asterisk, pytest.mark.browser, pytest.mark.timeout(120)]

KNOWN = "905321112233"
SHARED = "05322223344"
STRANGER = "905339998877"


async def touches(url: str) -> list[Touch]:
    """What the history has, newest first, read from the database itself."""
    store = open_store(url)
    try:
        async with store.begin() as uow:
            found, _ = await uow.touches.page(limit=50)
            return found
    finally:
        await store.close()


@dataclass(frozen=True, slots=True)
class _Flow:
    daemon: Daemon
    desk: Page


async def _started(daemon: Daemon, browser: Browser) -> _Flow:
    await people(daemon)
    await daemon.start()
    await daemon.said("pbx_up")
    return _Flow(daemon, await sign_in(daemon, browser, "ece"))


@pytest.mark.postgres
async def test_the_card_follows_the_call_and_the_history_has_it(
    database: str,
    tmp_path: Path,
    daemons: MakeDaemon,
    asterisk: Asterisk,
    phones: Phones,
    browser: Browser,
) -> None:
    daemon = daemons(
        tmp_path, settings(database=database, asterisk=asterisk, dovecot=None, user="")
    )
    await phones.register("1001", "1002")
    flow = await _started(daemon, browser)
    card = flow.desk.locator(".card")

    caller = await phones.call_in(KNOWN, Did.PHONE, name="Zoë")
    phone = await phones.incoming("1001")
    rings = time.monotonic()
    await expect(card).to_have_attribute("data-look", "ringing")
    await expect(card).to_have_attribute("data-result", "known")
    await expect(card).to_contain_text("O'Brien Şükrü Ёлкин")
    await expect(card).to_contain_text("Acme Lojistik")

    await phone.answer()
    answered = time.monotonic()
    await expect(card).to_have_attribute("data-look", "connected")
    await asyncio.sleep(1.5)  # people talk; nothing is waited for here
    await caller.hangup()
    over = time.monotonic()
    await phone.ended()
    await expect(card).to_have_attribute("data-look", "ended")
    await expect(flow.desk.locator(".touch-row")).to_have_count(1)

    [touch] = await touches(database)
    assert (touch.medium, touch.outcome.value) == (Medium.PHONE, "answered")
    assert touch.match.contact is not None
    assert touch.match.contact.external_id == "C-1"
    assert touch.agent_name == "Ece Yıldız"
    assert touch.ring_s == pytest.approx(answered - rings, abs=0.5)
    assert touch.wait_s == pytest.approx(answered - rings, abs=0.5)
    assert touch.talk_s == pytest.approx(over - answered, abs=0.5)
    code = await daemon.stop()
    assert code == 0
    assert not flow.desk.errors  # type: ignore[attr-defined]


CALLERS = {
    # kind of caller: number, what the card must say
    "ambiguous": (SHARED, ("Ali Veli", "Ayşe Veli")),
    "unknown": (STRANGER, ("0533 999 88 77",)),
    "withheld": ("", ()),
}


async def test_every_kind_of_caller_is_shown_for_what_it_is(
    sqlite: str,
    tmp_path: Path,
    daemons: MakeDaemon,
    asterisk: Asterisk,
    phones: Phones,
    browser: Browser,
) -> None:
    daemon = daemons(tmp_path, settings(database=sqlite, asterisk=asterisk, dovecot=None, user=""))
    await phones.register("1001")
    flow = await _started(daemon, browser)
    for result, (number, shown) in CALLERS.items():
        caller = await phones.call_in(number or KNOWN, Did.PHONE, withheld=not number)
        phone = await phones.incoming("1001")
        card = flow.desk.locator(f'.card[data-result="{result}"]')
        await expect(card).to_have_attribute("data-look", "ringing")
        for text in shown:
            await expect(card).to_contain_text(text)
        await caller.hangup()
        await phone.ended()
        await expect(card).to_have_attribute("data-look", "gone")
    found = await touches(sqlite)
    assert [t.match.result.value for t in found] == ["withheld", "unknown", "ambiguous"]
    assert {t.outcome.value for t in found} == {"no_answer"}
    assert [c.external_id for c in found[-1].match.candidates] == ["C-2", "C-3"]


async def test_a_hostile_name_is_text_and_nothing_else(
    sqlite: str,
    tmp_path: Path,
    daemons: MakeDaemon,
    asterisk: Asterisk,
    phones: Phones,
    browser: Browser,
) -> None:
    daemon = daemons(tmp_path, settings(database=sqlite, asterisk=asterisk, dovecot=None, user=""))
    await phones.register("1001")
    flow = await _started(daemon, browser)
    async with SippCall(
        asterisk, Did.PHONE, number=STRANGER, name=HOSTILE_NAME, talk_seconds=0.5
    ) as caller:
        phone = await phones.incoming("1001")
        card = flow.desk.locator(".card")
        await expect(card).to_contain_text(HOSTILE_NAME)
        assert await flow.desk.locator(".card script").count() == 0
        await phone.answer()
        await caller.ended()
    await expect(card).to_have_attribute("data-look", "ended")
    [touch] = await touches(sqlite)
    assert touch.party.name == HOSTILE_NAME
    assert not flow.desk.errors  # type: ignore[attr-defined]


async def test_a_queue_call_is_one_touch_and_no_missed_call_of_the_colleague(
    sqlite: str,
    tmp_path: Path,
    daemons: MakeDaemon,
    asterisk: Asterisk,
    phones: Phones,
    browser: Browser,
) -> None:
    daemon = daemons(tmp_path, settings(database=sqlite, asterisk=asterisk, dovecot=None, user=""))
    await phones.register("1001", "1002")
    flow = await _started(daemon, browser)
    board = await sign_in(daemon, browser, "deniz")
    caller = await phones.call_in(KNOWN, Did.SUPPORT)
    first, second = await phones.incoming("1001"), await phones.incoming("1002")
    card = flow.desk.locator(".card")
    await expect(card).to_have_attribute("data-look", "ringing")
    await expect(board.locator('[data-queue="main/support"] .waiting')).to_have_count(1)
    await second.answer()
    await first.ended()
    await expect(card).to_have_attribute("data-look", "gone")
    await expect(card).to_contain_text("Jonas Weber")
    await expect(board.locator('[data-queue="main/support"] .waiting')).to_have_count(0)
    await caller.hangup()
    await second.ended()
    await expect(flow.desk.locator(".touch-row")).to_have_count(1)
    [touch] = await touches(sqlite)
    assert touch.outcome.value == "answered"
    assert touch.agent_name == "Jonas Weber"


async def test_a_call_in_progress_survives_the_loss_of_the_daemon(
    sqlite: str, tmp_path: Path, daemons: MakeDaemon, asterisk: Asterisk, phones: Phones
) -> None:
    daemon = daemons(tmp_path, settings(database=sqlite, asterisk=asterisk, dovecot=None, user=""))
    await phones.register("1001")
    await people(daemon)
    await daemon.start()
    await daemon.said("pbx_up")
    caller = await phones.call_in(KNOWN, Did.PHONE)
    phone = await phones.incoming("1001")
    await daemon.said("pop_shown")
    await phone.answer()
    await daemon.kill()
    await daemon.start()
    await daemon.said("pbx_up")
    await caller.hangup()
    await phone.ended()
    await daemon.said("call_ended")
    [touch] = await touches(sqlite)
    assert touch.outcome.value == "answered"


async def test_ready_tells_which_peer_is_away(
    sqlite: str, tmp_path: Path, daemons: MakeDaemon
) -> None:
    text = settings(database=sqlite, asterisk=None, dovecot=None, user="") + (
        '[[pbx]]\nname = "main"\nport = 1\nevents_user = "x"\nevents_secret = "y"\n'
    )
    daemon = daemons(tmp_path, text)
    await daemon.start()
    async with aiohttp.ClientSession() as session:
        await daemon.said("pbx_down")
        async with session.get(f"{daemon.url}/readyz") as answer:
            assert answer.status == 503
            body = await answer.text()
        assert "ami:main" in body
        assert "database" in body
        async with session.get(f"{daemon.url}/healthz") as answer:
            assert answer.status == 200
