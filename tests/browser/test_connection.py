"""Signing in and staying connected, over a wire that is really cut."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from agent_ui.hub import PopHub
from crm_core.notices import PopShown, PopState, PopUpdated, PopWithdrawn, WithdrawReason
from tests.browser.conftest import Desk
from tests.browser.scenes import PASSWORD, STRANGER, ZEYNEP, no_match, pop


def zeynep(desk: Desk, state: PopState = PopState.RINGING) -> PopShown:
    match = desk.people.known("Zeynep Karagöz", ZEYNEP)
    talked = 5.0 if state is not PopState.RINGING else None
    return PopShown(pop=pop(desk.people, "z", ZEYNEP, match, state=state, talked_s=talked))


def test_signing_in_with_a_password(desk: Desk) -> None:
    page = desk.blank()
    page.goto(desk.server.url + "/")
    page.wait_for_url("**/signin")
    page.get_by_label("User name").fill("ece")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("User name or password is wrong.")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/desk")
    expect(page.locator(".connection")).to_have_text("Connected")
    page.get_by_title("Settings and sign-out").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Password")).to_be_visible()


def test_a_link_that_was_used_says_so(desk: Desk) -> None:
    link = desk.server.link(desk.people.ece)
    desk.blank().goto(link)
    desk.context.clear_cookies()
    page = desk.blank()
    page.goto(link)
    expect(page.get_by_text("This link was used already or is too old.")).to_be_visible()


def test_a_supervisor_lands_on_the_board(desk: Desk) -> None:
    page = desk.blank()
    page.goto(desk.server.link(desk.people.ayse))
    page.wait_for_url("**/board")
    expect(page.get_by_role("link", name="Board")).to_have_attribute("aria-current", "page")


def test_what_happened_while_the_wire_was_cut_is_made_up_for(desk: Desk) -> None:
    page = desk.page()
    desk.server.publish(zeynep(desk))
    card = page.locator('[data-card="z"]')
    expect(card).to_have_attribute("data-look", "ringing")
    hub: PopHub = desk.server.hub
    snapshots = hub.metrics.snapshots

    desk.server.cut(down=True)
    expect(page.locator(".connection")).to_have_text(
        re.compile(r"No connection\. Trying again in \d+ seconds?\.")
    )
    desk.server.publish(
        PopUpdated(pop=zeynep(desk, PopState.CONNECTED).pop),
        PopShown(pop=pop(desk.people, "u", STRANGER, no_match(STRANGER))),
        PopWithdrawn(id="u", agent=desk.people.ece.id, reason=WithdrawReason.ABANDONED),
    )
    desk.server.up()
    expect(page.locator(".connection")).to_have_text("Connected")
    expect(card).to_have_attribute("data-look", "connected")
    expect(page.locator('[data-card="u"] .status')).to_have_text("The caller hung up")
    assert hub.metrics.resumed == 1
    assert hub.metrics.snapshots == snapshots, "nothing was lost, so nothing was sent twice"


def test_after_a_restart_of_the_server_a_snapshot_replaces_the_stale_world(desk: Desk) -> None:
    page = desk.page()
    desk.server.publish(zeynep(desk))
    expect(page.locator('[data-card="z"]')).to_have_attribute("data-look", "ringing")
    desk.server.cut(down=True)
    expect(page.locator(".connection")).to_have_attribute("data-look", "down")
    desk.server.publish(
        PopWithdrawn(id="z", agent=desk.people.ece.id, reason=WithdrawReason.ABANDONED),
        PopShown(pop=pop(desk.people, "u", STRANGER, no_match(STRANGER))),
    )
    desk.server.forget_sessions()
    desk.server.up()
    expect(page.locator('[data-card="u"]')).to_have_attribute("data-look", "ringing")
    expect(page.locator('[data-card="z"] .status')).to_have_text("No longer ringing")


def test_signing_out_elsewhere_ends_every_tab(desk: Desk) -> None:
    first = desk.page()
    second = desk.another()
    first.get_by_title("Settings and sign-out").click()
    first.get_by_role("button", name="Sign out").click()
    expect(second.get_by_text("Your session has ended.")).to_be_visible()


def test_the_ninth_window_takes_over_and_the_first_says_so(desk: Desk) -> None:
    first = desk.page()
    others = [desk.another() for _ in range(desk.server.hub.limits.sockets_per_user)]
    expect(first.get_by_text("You have Santral open in many windows")).to_be_visible()
    first.get_by_role("button", name="Use this window").click()
    expect(first.locator(".connection")).to_have_text("Connected")
    expect(others[0].get_by_role("button", name="Use this window")).to_be_visible()
