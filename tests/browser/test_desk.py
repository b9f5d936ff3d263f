"""The agent's desk in Chromium: cards come, change and go; nothing from outside is believed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

from playwright.sync_api import expect

from crm_core.model import (
    ContactPoint,
    Direction,
    Match,
    MatchResult,
    Medium,
    Outcome,
    Party,
    PartyKind,
    PointKind,
    Touch,
    TouchId,
    User,
)
from crm_core.notices import (
    AgentChanged,
    CallChanged,
    LinkChanged,
    LiveAgent,
    Notice,
    Noticed,
    PopShown,
    PopState,
    PopUpdated,
    PopWithdrawn,
    QueueChanged,
    TouchLogged,
    WithdrawReason,
)
from crm_core.ports import ContactDraft
from tests.browser.conftest import Desk, eventually
from tests.browser.scenes import (
    COLLEAGUE,
    HOSTILE,
    HOSTILE_CALLER,
    SERGEI,
    STRANGER,
    SWITCHBOARD,
    WITHHELD,
    ZEYNEP,
    ago,
    calls,
    history,
    no_match,
    pop,
    queues,
)

# Resolves after the frames in which a card is painted and acknowledged.
PAINTED = """() => new Promise(done =>
  requestAnimationFrame(() => requestAnimationFrame(() =>
    requestAnimationFrame(() => setTimeout(() => done(true), 50)))))"""


def ring(desk: Desk, id_: str, party: Party, match: Match, **more: object) -> None:
    desk.server.publish(PopShown(pop=pop(desk.people, id_, party, match, **more)))  # type: ignore[arg-type]


def zeynep_rings(desk: Desk, **more: object) -> None:
    ring(desk, "z", ZEYNEP, desk.people.known("Zeynep Karagöz", ZEYNEP), **more)


def history_of(desk: Desk, name: str) -> tuple[Touch, ...]:
    async def read() -> tuple[Touch, ...]:
        async with desk.server.store.begin() as uow:
            return tuple(await uow.touches.of_contact(desk.people.contacts[name].id))

    return desk.server.run(read())


def test_a_card_appears_follows_the_call_and_stays_when_it_ends(desk: Desk) -> None:
    page = desk.page()
    expect(page.get_by_text("No call right now")).to_be_visible()
    zeynep_rings(desk, recent=history_of(desk, "Zeynep Karagöz"))
    card = page.locator(".card")
    expect(card).to_have_attribute("data-look", "ringing")
    expect(card.locator("h2")).to_have_text("Zeynep KaragözVIP")
    expect(card).to_contain_text("Boğaziçi Denizcilik A.Ş.")
    expect(card).to_contain_text("0532 000 11 22")
    expect(card).to_contain_text("Türkiye")
    expect(card.locator(".reasons")).to_have_text("exact number, mobile")
    expect(card).to_contain_text("Queue Support")
    expect(card).to_contain_text("0850 000 10 00")
    expect(card).to_contain_text("Renewal of the annual contract")
    expect(page.get_by_role("alert").filter(has_text="Incoming call")).to_have_text(
        "Incoming call: Zeynep Karagöz. Boğaziçi Denizcilik A.Ş. · Queue Support"
    )

    known = desk.people.known("Zeynep Karagöz", ZEYNEP)
    for state, words in [
        (PopState.CONNECTED, "Talking"),
        (PopState.HELD, "On hold"),
        (PopState.ENDED, "Call ended"),
    ]:
        changed = pop(desk.people, "z", ZEYNEP, known, state=state, talked_s=65)
        desk.server.publish(PopUpdated(pop=changed))
        expect(card.locator(".status")).to_contain_text(words)
        expect(card.locator(".status")).to_contain_text("1:0")

    card.get_by_role("button", name="Put away").click()
    expect(card).to_have_count(0)


def test_every_shown_card_is_acknowledged_once(desk: Desk) -> None:
    page = desk.page()
    sent: list[str | bytes] = []

    def note(text: str | bytes) -> None:
        sent.append(text)

    page.on("websocket", lambda socket: socket.on("framesent", note))
    page.reload()
    expect(page.locator(".connection")).to_have_text("Connected")
    zeynep_rings(desk)
    page.evaluate(PAINTED)
    for look in (PopState.RINGING, PopState.CONNECTED):
        zeynep_rings(desk, state=look, talked_s=None if look is PopState.RINGING else 1)
        expect(page.locator(".card")).to_have_attribute("data-look", look.value)
    assert [json.loads(text)["id"] for text in sent] == ["z"]
    assert desk.server.hub.metrics.acks == 1


def test_a_withdrawn_card_says_who_answered_and_goes(desk: Desk) -> None:
    page = desk.page()
    zeynep_rings(desk)
    expect(page.locator(".card")).to_have_attribute("data-look", "ringing")
    desk.server.publish(
        PopWithdrawn(
            id="z",
            agent=desk.people.ece.id,
            reason=WithdrawReason.ANSWERED_ELSEWHERE,
            by="Selin Koç",
        )
    )
    expect(page.locator(".card .status")).to_have_text("Answered by Selin Koç")
    expect(page.locator(".card")).to_have_count(0, timeout=12_000)


def test_the_caller_hung_up(desk: Desk) -> None:
    page = desk.page()
    zeynep_rings(desk)
    expect(page.locator(".card")).to_be_visible()
    desk.server.publish(
        PopWithdrawn(id="z", agent=desk.people.ece.id, reason=WithdrawReason.ABANDONED)
    )
    expect(page.locator(".card .status")).to_have_text("The caller hung up")


def test_an_ambiguous_caller_is_chosen_by_a_key_and_stays_chosen(desk: Desk) -> None:
    page = desk.page()

    async def ambiguous_touch() -> int:
        async with desk.server.store.begin() as uow:
            touches, _ = await uow.touches.page(limit=50)
            return next(one.id for one in touches if one.match.result is MatchResult.AMBIGUOUS)

    match = desk.people.ambiguous(["Hakan Demir", "Elif Şahin", "Oğuzhan Çelik"], SWITCHBOARD)
    ring(desk, "a", SWITCHBOARD, match, touch=desk.server.run(ambiguous_touch()))
    card = page.locator(".card")
    expect(card).to_contain_text("3 possible people")
    expect(card.locator("h2")).to_have_text("0212 000 44 00")
    expect(card.locator(".candidate")).to_have_count(3)
    page.keyboard.press("2")
    expect(card.locator("h2")).to_have_text("Elif ŞahinVIP")
    expect(card).to_contain_text("chosen by Ece Yılmaz")


def last_touch(desk: Desk, result: MatchResult) -> Touch:
    async def read() -> Touch:
        async with desk.server.store.begin() as uow:
            touches, _ = await uow.touches.page(limit=50)
            return next(one for one in touches if one.match.result is result)

    return desk.server.run(read())


def test_an_unknown_caller_is_found_by_name_and_becomes_known(desk: Desk) -> None:
    page = desk.page()
    ring(desk, "u", STRANGER, no_match(STRANGER), touch=last_touch(desk, MatchResult.UNKNOWN).id)
    card = page.locator(".card")
    expect(card).to_have_attribute("data-result", "unknown")
    card.get_by_role("combobox").fill("bennett")
    card.get_by_role("option", name="Olivia Bennett").click()
    card.get_by_role("button", name="Someone else").click()
    card.get_by_role("combobox").fill("karag")
    card.get_by_role("option", name="Zeynep Karagöz").click()
    card.get_by_role("button", name="Save as Zeynep Karagöz").click()
    expect(card.locator("h2")).to_have_text("Zeynep KaragözVIP")
    expect(card.locator(".reasons")).to_have_text("chosen by Ece Yılmaz")
    expect(card).to_contain_text("Renewal of the annual contract")
    row = page.locator(".touch-row").filter(has_text="Missed call").filter(has_text="0555")
    expect(row).to_have_count(0)


def test_who_it_was_can_be_said_after_the_call(desk: Desk) -> None:
    page = desk.page()
    ambiguous = page.locator('.touch-row[data-result="ambiguous"]')
    ambiguous.get_by_role("button").click()
    ambiguous.get_by_role("button", name="Elif Şahin").click()
    expect(ambiguous).to_have_count(0)
    expect(page.locator(".touch-row").filter(has_text="Elif Şahin")).to_have_count(1)

    unknown = page.locator('.touch-row[data-result="unknown"]')
    unknown.get_by_role("button").click()
    expect(unknown.get_by_role("button").first).to_have_attribute("aria-expanded", "true")
    unknown.get_by_role("combobox").fill("bennett")
    unknown.get_by_role("option", name="Olivia Bennett").click()
    unknown.get_by_role("button", name="Save as Olivia Bennett").click()
    expect(unknown).to_have_count(0)
    found = last_touch(desk, MatchResult.KNOWN)
    assert found.match.contact is not None
    expect(page.locator('.touch-row[data-result="withheld"] button')).to_have_count(0)


def mail(number: int, name: str, subject: str, match: Match) -> list[Notice]:
    party = Party(kind=PartyKind.EMAIL, address=f"{number}@example.com", name=name)
    touch = Touch(
        id=TouchId(number),
        key=f"mail:{number}",
        medium=Medium.EMAIL,
        direction=Direction.INBOUND,
        outcome=Outcome.RECEIVED,
        at=datetime.now(UTC),
        party=party,
        match=match,
        team="support",
        subject=subject,
    )
    values = {
        "from": name,
        "address": party.address,
        "subject": subject,
        "mailbox": "support",
        "touch": str(number),
    }
    return [
        TouchLogged(touch=touch, team="support"),
        Noticed(code="mail_received", values=values, team="support"),
    ]


def test_a_mail_is_said_in_one_line_that_moves_nothing_and_goes_by_itself(desk: Desk) -> None:
    page = desk.page()
    zeynep_rings(desk)
    card = page.locator(".card")
    expect(card).to_be_visible()
    page.wait_for_timeout(300)  # the card has arrived
    before = card.bounding_box()
    olivia = desk.people.known("Olivia Bennett", ZEYNEP, "exact address")
    desk.server.publish(
        *mail(8001, HOSTILE, "", no_match(STRANGER)),
        *mail(8002, "Olivia Bennett", "<b>Thank you!</b>", olivia),
    )
    toast = page.locator(".toast")
    line = toast.get_by_role("status")
    expect(line).to_have_text("Mail from Olivia Bennett: <b>Thank you!</b>")
    assert card.bounding_box() == before
    toast.get_by_role("button", name="Open contact").click()
    expect(page.locator(".panel h2")).to_have_text("Olivia Bennett")
    expect(toast).to_have_count(0)

    desk.server.publish(*mail(8003, HOSTILE, "", no_match(STRANGER)))
    expect(line).to_have_text(f"Mail from {HOSTILE}")
    expect(toast.get_by_role("button")).to_have_count(1)  # only to close it
    page.mouse.move(5, 700)  # it stays as long as a hand is on it
    expect(toast).to_have_count(0, timeout=12_000)

    desk.server.publish(
        Noticed(code="mail_set_aside", values={"mailbox": "support", "uid": "7"}, team="support")
    )
    expect(line).to_contain_text("A mail in the mailbox “support” could not be read")


def test_the_wait_counts_until_the_phone_stops_ringing(desk: Desk) -> None:
    page = desk.page()
    zeynep_rings(desk, waited_s=0.0, rang_s=65)
    way = page.locator(".card .way")
    expect(way).to_contain_text("Waited 1:0")
    gone = PopWithdrawn(
        id="z", agent=desk.people.ece.id, reason=WithdrawReason.ANSWERED_ELSEWHERE, by="1002"
    )
    desk.server.publish(gone)
    expect(page.locator(".card .status")).to_have_text("Answered by 1002")
    shown = way.locator(".time").inner_text()
    assert shown.startswith("1:0")
    page.wait_for_timeout(1_500)  # the clock of the page goes on, the wait does not
    expect(way.locator(".time")).to_have_text(shown)

    zeynep_rings(desk, state=PopState.CONNECTED, waited_s=31.0, talked_s=3)
    expect(way).to_contain_text("Waited 0:31")


def test_of_a_call_that_we_make_nobody_waits(desk: Desk) -> None:
    page = desk.page()
    ring(desk, "o", STRANGER, no_match(STRANGER), direction="outbound", queue="", waited_s=5.0)
    card = page.locator(".card")
    expect(card.locator(".status")).to_contain_text("Calling")
    expect(card).to_contain_text("Not a contact yet. You can look the person up.")
    expect(card).not_to_contain_text("Waited")
    expect(card).not_to_contain_text("Ask who it is")


def test_unknown_withheld_and_internal_callers_look_different(desk: Desk) -> None:
    page = desk.page()
    card = page.locator(".card")
    ring(desk, "u", STRANGER, no_match(STRANGER))
    expect(card).to_have_attribute("data-result", "unknown")
    expect(card).to_contain_text("Unknown number")
    expect(card).to_contain_text("The caller’s line says “ISTANBUL TR”")
    desk.server.publish(PopWithdrawn(id="u", agent=desk.people.ece.id, reason=WithdrawReason.BUSY))
    expect(card).to_contain_text("Your phone was busy")

    ring(desk, "w", WITHHELD, no_match(WITHHELD, MatchResult.WITHHELD))
    expect(page.locator('[data-card="w"]')).to_contain_text("Withheld number")
    ring(desk, "i", COLLEAGUE, no_match(COLLEAGUE, MatchResult.INTERNAL), queue="")
    colleague = page.locator('[data-card="i"]')
    expect(colleague).to_contain_text("Mert Aydın")
    expect(colleague).to_contain_text("Colleague")


def test_several_cards_do_not_pile_up(desk: Desk) -> None:
    page = desk.page()
    people = desk.people
    zeynep_rings(desk, state=PopState.CONNECTED, talked_s=30)
    ring(desk, "s", SERGEI, people.known("Сергей Ёлкин", SERGEI))
    ring(desk, "u", STRANGER, no_match(STRANGER))
    cards = page.locator(".card")
    expect(cards).to_have_count(3)
    expect(cards.nth(0)).to_have_attribute("data-card", "z")
    expect(page.locator(".card.compact")).to_have_count(2)
    page.locator('[data-card="s"] .summary').click()
    expect(page.locator(".card.compact")).to_have_count(1)
    heights = [cards.nth(number).bounding_box() for number in range(3)]
    assert heights[2] is not None
    assert heights[2]["height"] < 70


def test_a_hostile_name_is_only_text(desk: Desk) -> None:
    page = desk.page()
    ring(
        desk,
        "h",
        HOSTILE_CALLER,
        desk.people.known(HOSTILE, HOSTILE_CALLER, "<b>exact</b> number"),
        note="<img src=x onerror=alert(1)>",
    )
    card = page.locator(".card")
    expect(card.locator("h2 > bdi")).to_have_text(HOSTILE)
    expect(card.locator(".reasons")).to_have_text("<b>exact</b> number")
    page.keyboard.press("o")
    panel = page.locator(".panel")
    expect(panel.locator("h2 > bdi")).to_have_text(HOSTILE)
    expect(panel).to_contain_text("<script>document.title = 'owned'</script>")
    assert HOSTILE in page.title()
    assert page.locator("script:not([src]), img[src='x'], .card b, .panel script").count() == 0


def test_a_touch_arrives_in_the_list_and_the_list_can_be_filtered(desk: Desk) -> None:
    page = desk.page()
    rows = page.locator(".touch-row")
    expect(rows.first).to_be_visible()
    before = rows.count()
    first = history_of(desk, "Zeynep Karagöz")[0]
    touch = Touch(
        id=TouchId(9_999),
        key="test:new",
        medium=first.medium,
        direction=first.direction,
        outcome=first.outcome,
        at=datetime.now(UTC),
        party=SERGEI,
        match=desk.people.known("Сергей Ёлкин", SERGEI),
        agent=desk.people.ece.id,
        agent_name="Ece Yılmaz",
        talk_s=61.0,
    )
    desk.server.publish(TouchLogged(touch=touch, agents=(desk.people.ece.id,)))
    expect(rows).to_have_count(before + 1)
    expect(rows.first).to_contain_text("Сергей Ёлкин")

    page.get_by_role("radio", name="Mails").check()
    expect(rows.first).to_contain_text("Olivia Bennett")
    expect(page.locator(".touch-row .kind").filter(has_text="call")).to_have_count(0)
    page.get_by_role("radio", name="Notes").check()
    expect(page.get_by_text("Nothing of this kind yet.")).to_be_visible()


def test_a_long_history_is_loaded_page_by_page(desk: Desk) -> None:
    async def many() -> None:
        new, _ = history(desk.people)[0]
        async with desk.server.store.begin() as uow:
            for number in range(120):
                await uow.touches.open(
                    replace(new, key=f"many:{number}", at=ago(days=10, minutes=number))
                )
            await uow.commit()

    desk.server.run(many())
    page = desk.page()
    rows = page.locator(".touch-row")
    expect(rows).to_have_count(50)
    more = page.get_by_role("button", name="Load older")
    more.click()
    expect(rows).to_have_count(100)
    more.click()
    expect(rows).to_have_count(131)
    expect(more).to_have_count(0)


def test_a_contact_is_found_and_opened_by_the_keyboard_alone(desk: Desk) -> None:
    page = desk.page()
    page.keyboard.press("/")
    page.keyboard.type("karag")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    panel = page.locator(".panel")
    expect(panel.locator("h2")).to_have_text("Zeynep KaragözVIP")
    expect(panel.get_by_role("link", name="0532 000 11 22")).to_have_attribute(
        "href", "tel:+905320001122"
    )
    expect(panel.get_by_role("link", name="zeynep.karagoz@bogazici.example")).to_have_attribute(
        "href", "mailto:zeynep.karagoz@bogazici.example"
    )
    expect(panel).to_contain_text("shared")
    expect(panel).to_contain_text("Contract renewal is due in January.")
    expect(panel.locator(".history > li")).to_have_count(4)
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()


def test_people_of_the_same_name_are_told_apart_by_number_or_address(desk: Desk) -> None:
    shared = ContactPoint(kind=PointKind.PHONE, value=SWITCHBOARD.address, shared=True)
    mobile = ContactPoint(kind=PointKind.PHONE, value="+905320004455", label="mobile")
    mail = ContactPoint(kind=PointKind.EMAIL, value="ali@kaya.example")
    people = {"A-1": (shared, mobile), "A-2": (shared, mail), "A-3": ()}

    async def add() -> None:
        async with desk.server.store.begin() as uow:
            for id_, points in people.items():
                await uow.contacts.upsert(
                    ContactDraft(name="Ali Kaya", external_id=id_, account="Kaya", points=points)
                )
            await uow.commit()

    desk.server.run(add())
    page = desk.page()
    found = page.locator(".bar").get_by_role("option")
    page.keyboard.press("/")
    page.keyboard.type("ali kaya")
    expect(found).to_have_count(3)
    for line in ("Kaya · A-1 · 0532 000 44 55", "Kaya · A-2 · ali@kaya.example", "Kaya · A-3"):
        expect(found.locator(".account").get_by_text(line, exact=True)).to_be_visible()

    ring(desk, "u", STRANGER, no_match(STRANGER))
    card = page.locator(".card")
    card.get_by_role("combobox").fill("ali kaya")
    card.get_by_role("option").filter(has_text="A-1").click()
    expect(card.locator(".found-one .account")).to_have_text("Kaya · A-1 · 0532 000 44 55")


def test_a_lost_pbx_link_is_said_in_a_plain_sentence(desk: Desk) -> None:
    page = desk.page()
    desk.server.publish(LinkChanged(name="ami:main", up=False, since=ago(minutes=2)))
    trouble = page.locator(".trouble")
    expect(trouble).to_contain_text("Connection to the PBX “\u2068main\u2069” lost at")
    expect(trouble).to_contain_text("Calls may ring without a card until it is back.")
    desk.server.publish(LinkChanged(name="ami:main", up=True, since=ago()))
    expect(trouble).to_have_count(0)


def test_on_a_phone_the_hint_fits_and_a_notice_leaves_the_last_row_free(desk: Desk) -> None:
    page = desk.page()
    page.set_viewport_size({"width": 360, "height": 640})
    box = page.locator(".bar").get_by_role("combobox")
    expect(box).to_have_attribute("placeholder", "Name or number")
    row = page.locator(".touch-row").last
    expect(row).to_be_visible()
    olivia = desk.people.known("Olivia Bennett", ZEYNEP, "exact address")
    subject = "A question about the annual contract and all that follows from it " * 2
    desk.server.publish(*mail(8005, "Olivia Bennett", subject, olivia))
    toast = page.locator(".toast")
    expect(toast).to_be_visible()
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    page.wait_for_timeout(400)  # the notice has arrived
    last, over = row.bounding_box(), toast.bounding_box()
    assert last is not None
    assert over is not None
    assert last["y"] + last["height"] <= over["y"]


def test_a_call_that_we_made_does_not_say_its_number_twice(desk: Desk) -> None:
    page = desk.page()
    touch = Touch(
        id=TouchId(9_998),
        key="test:out",
        medium=Medium.PHONE,
        direction=Direction.OUTBOUND,
        outcome=Outcome.ANSWERED,
        at=datetime.now(UTC),
        party=STRANGER,
        match=no_match(STRANGER),
        agent=desk.people.ece.id,
        subject="05550009988",
        talk_s=8.0,
    )
    desk.server.publish(TouchLogged(touch=touch, agents=(desk.people.ece.id,)))
    row = page.locator(".touch-row").first
    expect(row.locator(".who .name")).to_have_text("0555 000 99 88")
    expect(row.locator(".what .rest")).to_have_text("talked \u20680:08\u2069")


def test_the_board_says_who_holds_and_counts_only_who_is_on_a_call(desk: Desk) -> None:
    page = desk.page("/board", supervisor=True)
    people = desk.people
    call = next(one for one in calls(people) if one.state == "talking")
    desk.server.publish(
        CallChanged(call=replace(call, state="held")),
        *(
            AgentChanged(
                agent=LiveAgent(
                    agent=id_, name=name, team="", state=state, since=ago(minutes=1), call=on
                )
            )
            for id_, name, state, on in (
                (people.ece.id, "Ece Yılmaz", "talking", call.id),
                (people.ayse.id, "Ayşe Kaya", "ringing", ""),
            )
        ),
    )
    expect(page.locator(".agent-row").filter(has_text="Ece")).to_contain_text("On hold")
    expect(page.locator(".agent-row").filter(has_text="Ayşe")).to_contain_text("Ringing")
    expect(page.locator(".figure").filter(has_text="On calls").locator("dd")).to_have_text("1")


def test_the_page_speaks_three_languages(desk: Desk) -> None:
    page = desk.page()
    zeynep_rings(desk)
    page.get_by_title("Settings and sign-out").click()
    page.get_by_label("Language").select_option("tr")
    expect(page.locator("html")).to_have_attribute("lang", "tr")
    expect(page.locator(".card .status")).to_contain_text("Çalıyor")
    expect(page.locator(".card .reasons")).to_have_text("numara birebir aynı, cep")
    page.get_by_label("Dil").select_option("ru")
    expect(page.locator(".card")).to_contain_text("Турция")
    expect(page.locator(".card .reasons")).to_have_text("номер совпал, мобильный")
    page.reload()
    expect(page.locator(".connection")).to_have_text("На связи")


def speaker_of_russian(desk: Desk) -> User:
    async def add() -> User:
        async with desk.server.store.begin() as uow:
            user = await uow.users.add(login="irina", name="Ирина", role="agent", language="ru")
            await uow.commit()
        return user

    return desk.server.run(add())


def test_the_page_begins_in_the_language_of_the_user_else_of_the_browser(desk: Desk) -> None:
    browser = desk.context.browser
    assert browser is not None
    turkish = replace(desk, context=browser.new_context(locale="tr-TR"))
    try:
        page = turkish.blank()
        html = page.locator("html")
        up = page.locator('.connection[data-look="up"]')
        page.goto(desk.server.url + "/signin")
        expect(html).to_have_attribute("lang", "tr")
        page.goto(desk.server.link(desk.people.ece))  # for whom nobody has set a language
        expect(up).to_be_visible()
        expect(html).to_have_attribute("lang", "tr")

        page.goto(desk.server.link(speaker_of_russian(desk)))
        expect(up).to_be_visible()
        expect(html).to_have_attribute("lang", "ru")
        page.locator(".me").click()
        page.get_by_label("Язык").select_option("en")
        page.reload()
        expect(up).to_be_visible()
        expect(html).to_have_attribute("lang", "en")
    finally:
        turkish.context.close()


def test_the_title_and_one_notification_call_a_hidden_tab(desk: Desk) -> None:
    desk.context.add_init_script(
        """
        Object.defineProperty(document, "hidden", { get: () => true });
        window.shown = [];
        window.Notification = class {
          static permission = "granted";
          constructor(title, options) { window.shown.push([title, options.body, options.tag]); }
          close() { window.shown.push("closed"); }
        };
        """
    )
    page = desk.page()
    zeynep_rings(desk)
    eventually(page, "window.shown.length === 1")
    assert page.evaluate("window.shown[0]") == [
        "Zeynep Karagöz is calling",
        "Boğaziçi Denizcilik A.Ş. · Queue Support",
        "z",
    ]
    assert "Zeynep Karagöz" in page.title()
    desk.server.publish(
        PopWithdrawn(id="z", agent=desk.people.ece.id, reason=WithdrawReason.ABANDONED)
    )
    eventually(page, "window.shown.at(-1) === 'closed'")
    assert page.title() == "Santral"


def test_one_of_two_tabs_rings_and_the_other_inherits_it(desk: Desk) -> None:
    first = desk.page()
    second = desk.another()
    for tab, line in ((first, "held"), (second, "pending")):
        tab.mouse.click(5, 700)  # browsers allow sound only to tabs that were touched
        eventually(tab, f"navigator.locks.query().then(all => all.{line}.length === 1)")
    zeynep_rings(desk)
    for tab in (first, second):
        expect(tab.locator(".card")).to_have_attribute("data-look", "ringing")
    expect(first.locator("html")).to_have_attribute("data-ringing", "")
    expect(second.locator("html")).not_to_have_attribute("data-ringing", "")
    first.close()
    expect(second.locator("html")).to_have_attribute("data-ringing", "")
    second.keyboard.press("m")
    expect(second.locator("html")).not_to_have_attribute("data-ringing", "")
    expect(second.get_by_role("button", name="Ring is muted")).to_be_visible()


def test_an_agent_does_not_get_the_board(desk: Desk) -> None:
    page = desk.page()
    page.goto(desk.server.url + "/board")
    page.wait_for_url("**/desk")
    expect(page.get_by_role("link", name="Board")).to_have_count(0)


def test_the_board_shows_who_waits_who_works_and_what_goes_on(desk: Desk) -> None:
    page = desk.page("/board", supervisor=True)
    expect(page.get_by_text("No queue is known yet")).to_be_visible()
    for queue in queues(desk.people):
        desk.server.publish(QueueChanged(queue=queue))
    for call in calls(desk.people):
        desk.server.publish(CallChanged(call=call))
    support = page.locator('[data-queue="main/Support"]')
    waiting = support.locator(".waiting")
    expect(waiting).to_have_count(3)
    expect(waiting.nth(0)).to_contain_text("Zeynep Karagöz")
    expect(waiting.nth(0)).to_contain_text("very long")
    expect(support.locator(".today > span")).to_have_text(
        ["148 answered", "9 abandoned", "4 missed"]
    )
    expect(page.locator(".figure").filter(has_text="Missed today").locator("dd")).to_have_text("4")
    expect(page.locator('[data-queue="main/Night line"]')).to_contain_text("Nobody serves")
    expect(page.locator("tbody tr")).to_have_count(5)
    first = waiting.nth(2).locator(".time").inner_text()
    expect(waiting.nth(2).locator(".time")).not_to_have_text(first)  # it runs
    ended = calls(desk.people)[0]
    desk.server.publish(CallChanged(call=replace(ended, state="ended")))
    expect(page.locator("tbody tr")).to_have_count(4)
