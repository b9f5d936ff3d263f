"""Nobody is shut out: axe finds nothing, phones scroll one way only, motion can be stilled."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from crm_core.notices import AgentChanged, CallChanged, LinkChanged, Noticed, PopShown, QueueChanged
from tests.browser.conftest import WEB, Desk
from tests.browser.scenes import (
    HOSTILE,
    HOSTILE_CALLER,
    STRANGER,
    SWITCHBOARD,
    ZEYNEP,
    agents,
    ago,
    calls,
    no_match,
    pop,
    queues,
)

AXE = WEB / "node_modules" / "axe-core" / "axe.min.js"


def busy_day(desk: Desk) -> None:
    """Everything that can be on the screen at once."""
    people = desk.people
    desk.server.publish(
        *(QueueChanged(queue=queue) for queue in queues(people)),
        *(AgentChanged(agent=agent) for agent in agents(people)),
        *(CallChanged(call=call) for call in calls(people)),
        LinkChanged(name="imap:support", up=False, since=ago(minutes=3)),
        PopShown(pop=pop(people, "a", SWITCHBOARD, people.ambiguous(["Hakan Demir"], SWITCHBOARD))),
        PopShown(pop=pop(people, "z", ZEYNEP, people.known("Zeynep Karagöz", ZEYNEP))),
        PopShown(pop=pop(people, "h", HOSTILE_CALLER, people.known(HOSTILE, HOSTILE_CALLER))),
        PopShown(pop=pop(people, "u", STRANGER, no_match(STRANGER))),
    )


def open_page(desk: Desk, name: str) -> Page:
    if name == "signin":
        page = desk.blank()
        page.goto(desk.server.url + "/signin")
        expect(page.get_by_label("Password")).to_be_visible()
        return page
    busy_day(desk)
    page = desk.page(f"/{name}", supervisor=name == "board")
    if name == "desk":
        expect(page.locator(".card")).to_have_count(4)
        for card in ("z", "h", "u"):
            page.locator(f'[data-card="{card}"] .summary').click()
        page.locator('[data-card="z"]').get_by_role("button", name="Contact").click()
        expect(page.locator(".panel h2")).to_be_visible()
        for result in ("ambiguous", "unknown"):
            page.locator(f'.touch-row[data-result="{result}"] > button').dispatch_event("click")
        expect(page.locator(".touch-row .candidate")).to_have_count(3)
        desk.server.publish(Noticed(code="mail_set_aside", values={"mailbox": "m", "uid": "7"}))
        expect(page.locator(".toast")).to_be_visible()
    else:
        expect(page.locator("tbody tr")).to_have_count(5)
    return page


def violations(page: Page) -> list[dict[str, Any]]:
    # Evaluated by the debugger, to which the page's content security policy does not apply.
    page.evaluate(AXE.read_text(encoding="utf-8"))
    result = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        {"rule": found["id"], "where": [node["html"][:200] for node in found["nodes"]]}
        for found in result["violations"]
    ]


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed (npm ci)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["desk", "board", "signin"])
def test_axe_finds_nothing(desk: Desk, name: str, scheme: Literal["light", "dark"]) -> None:
    page = open_page(desk, name)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    assert violations(page) == []


@pytest.mark.parametrize("language", ["en", "tr", "ru"])
@pytest.mark.parametrize("name", ["desk", "board", "signin"])
def test_nothing_scrolls_sideways_on_a_phone(desk: Desk, name: str, language: str) -> None:
    page = open_page(desk, name)
    page.set_viewport_size({"width": 390, "height": 844})
    page.evaluate(f"localStorage.setItem('santral.language', '{language}')")
    page.reload()
    page.wait_for_selector("form" if name == "signin" else '.connection[data-look="up"]')
    if name == "desk":
        expect(page.locator(".card")).to_have_count(4)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    wide = page.evaluate(
        "[...document.querySelectorAll('main *')]"
        ".filter(e => e.getBoundingClientRect().right > 391 && !e.closest('.unseen, .what'))"
        ".map(e => e.outerHTML.slice(0, 120))"
    )
    assert wide == []


def test_motion_stops_for_those_who_ask_for_it(desk: Desk) -> None:
    page = desk.page()
    busy_day(desk)
    lamp = page.locator('.card[data-look="ringing"] .status .lamp').first
    expect(lamp).to_have_css("animation-name", "ring")
    page.emulate_media(reduced_motion="reduce")
    expect(lamp).to_have_css("animation-name", "none")


def test_the_theme_can_be_chosen_against_the_system(desk: Desk) -> None:
    page = desk.page()
    page.emulate_media(color_scheme="light")
    page.get_by_title("Settings and sign-out").click()
    page.get_by_label("Colours").select_option("dark")
    expect(page.locator("body")).to_have_css("background-color", "rgb(14, 17, 22)")
    page.reload()
    expect(page.locator("body")).to_have_css("background-color", "rgb(14, 17, 22)")
