"""People, calls and queues as the browser tests and the screenshots show them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from agent_ui.auth import hash_password
from crm_core.memory import MemoryStore
from crm_core.model import (
    Candidate,
    Contact,
    ContactId,
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
    User,
    UserId,
)
from crm_core.notices import (
    LiveAgent,
    LiveCall,
    LiveEntry,
    LiveMember,
    LiveParticipant,
    LiveQueue,
    PopState,
    ScreenPop,
)
from crm_core.ports import ContactDraft, NewTouch

HOSTILE = 'Zoë "<script>" O\'Brien Şükrü Ёлкин'
PASSWORD = "a long walk by the sea"


def ago(**parts: float) -> datetime:
    """A moment in the past."""
    return datetime.now(UTC) - timedelta(**parts)


def phone(number: str, *, name: str = "", region: str = "TR") -> Party:
    """A caller with a number."""
    return Party(kind=PartyKind.PHONE, address=number, raw=number, name=name, region=region)


WITHHELD = Party(kind=PartyKind.WITHHELD, address="")
COLLEAGUE = Party(kind=PartyKind.INTERNAL, address="1007", name="Mert Aydın")


@dataclass
class People:
    """Who is in the store."""

    ece: User
    ayse: User
    contacts: dict[str, Contact] = field(default_factory=dict)

    def candidate(self, name: str) -> Candidate:
        """A contact as a match names it."""
        contact = self.contacts[name]
        return Candidate(
            contact=contact.id,
            name=contact.name,
            account=contact.account.name if contact.account else "",
            external_id=contact.external_id,
            tier=contact.tier,
        )

    def known(self, name: str, party: Party, *reasons: str) -> Match:
        """It is this one."""
        return Match(
            result=MatchResult.KNOWN,
            party=party.address,
            candidates=(self.candidate(name),),
            reasons=reasons or ("exact number, mobile",),
        )

    def ambiguous(self, names: list[str], party: Party, *reasons: str) -> Match:
        """It is one of these."""
        return Match(
            result=MatchResult.AMBIGUOUS,
            party=party.address,
            candidates=tuple(self.candidate(name) for name in names),
            reasons=reasons or (f"shared number of Yıldız Lojistik, {len(names)} contacts",),
        )


def no_match(party: Party, result: MatchResult = MatchResult.UNKNOWN) -> Match:
    """It is nobody that we know."""
    reasons = {
        MatchResult.UNKNOWN: ("no contact has this number",),
        MatchResult.WITHHELD: ("number withheld",),
        MatchResult.INTERNAL: ("internal extension",),
    }
    return Match(result=result, party=party.address, reasons=reasons.get(result, ()))


ZEYNEP = phone("+905320001122")
SERGEI = phone("+74950001234", region="RU")
SWITCHBOARD = phone("+902120004400")
HOSTILE_CALLER = phone("+442079460123", name=HOSTILE, region="GB")
STRANGER = phone("+905550009988", name="ISTANBUL TR")

_CONTACTS = [
    ContactDraft(
        name="Zeynep Karagöz",
        external_id="C-10482",
        account="Boğaziçi Denizcilik A.Ş.",
        tier="VIP",
        tags=("maritime", "annual contract"),
        notes="Prefers to be called back after 14:00. Contract renewal is due in January.",
        points=(
            ContactPoint(kind=PointKind.PHONE, value=ZEYNEP.address, label="mobile"),
            ContactPoint(kind=PointKind.PHONE, value="+902120003300", label="office", shared=True),
            ContactPoint(kind=PointKind.EMAIL, value="zeynep.karagoz@bogazici.example"),
        ),
    ),
    ContactDraft(
        name="Сергей Ёлкин",
        external_id="C-20811",
        account="ООО «Северный ветер»",
        tier="Gold",
        points=(ContactPoint(kind=PointKind.PHONE, value=SERGEI.address),),
    ),
    *(
        ContactDraft(
            name=name,
            external_id=external_id,
            account="Yıldız Lojistik",
            tier=tier,
            points=(ContactPoint(kind=PointKind.PHONE, value=SWITCHBOARD.address, shared=True),),
        )
        for name, external_id, tier in [
            ("Hakan Demir", "C-30117", ""),
            ("Elif Şahin", "C-30118", "VIP"),
            ("Oğuzhan Çelik", "C-30122", ""),
        ]
    ),
    ContactDraft(
        name=HOSTILE,
        external_id="C-<b>1</b>",
        account='"><img src=x onerror=alert(1)>',
        tier="VIP",
        notes="<script>document.title = 'owned'</script>",
        points=(ContactPoint(kind=PointKind.PHONE, value=HOSTILE_CALLER.address),),
    ),
    ContactDraft(
        name="Olivia Bennett",
        external_id="C-40001",
        account="Harbour & Finch Ltd",
        points=(ContactPoint(kind=PointKind.EMAIL, value="olivia@harbourfinch.example"),),
    ),
]


@cache
def _secret() -> str:
    return hash_password(PASSWORD)


async def fill(store: MemoryStore) -> People:
    """Two users, a few contacts and a day of history."""
    async with store.begin() as uow:
        ece = await uow.users.add(
            login="ece",
            name="Ece Yılmaz",
            role="agent",
            team="support",
            phones=[("main", "PJSIP/1001")],
            password_hash=_secret(),
        )
        ayse = await uow.users.add(
            login="ayse",
            name="Ayşe Kaya",
            role="supervisor",
            team="support",
            password_hash=_secret(),
        )
        people = People(ece=ece, ayse=ayse)
        for draft in _CONTACTS:
            contact, _ = await uow.contacts.upsert(draft)
            found = await uow.contacts.get(ContactId(contact))
            assert found is not None
            people.contacts[found.name] = found
        for number, (new, fields) in enumerate(history(people)):
            opened, _ = await uow.touches.open(replace(new, key=f"test:{number}"))
            await uow.touches.change(opened.id, **fields)
        await uow.commit()
    return people


def history(people: People) -> list[tuple[NewTouch, dict[str, object]]]:
    """The last two days, oldest first."""
    zeynep = people.known("Zeynep Karagöz", ZEYNEP)
    sergei = people.known("Сергей Ёлкин", SERGEI)
    olivia = Party(kind=PartyKind.EMAIL, address="olivia@harbourfinch.example", name="Olivia B.")

    def touch(
        at: datetime,
        party: Party,
        match: Match,
        outcome: Outcome,
        *,
        medium: Medium = Medium.PHONE,
        direction: Direction = Direction.INBOUND,
        subject: str = "",
        queue: str = "",
        agent: UserId | None = people.ece.id,
        **fields: object,
    ) -> tuple[NewTouch, dict[str, object]]:
        new = NewTouch(
            key="",
            medium=medium,
            direction=direction,
            outcome=outcome,
            at=at,
            party=party,
            match=match,
            agent=agent,
            team="support",
            subject=subject,
            details={"queues": [queue]} if queue else None,
        )
        return new, fields

    return [
        touch(
            ago(days=9),
            ZEYNEP,
            zeynep,
            Outcome.RECEIVED,
            medium=Medium.EMAIL,
            subject="Renewal of the annual contract: two questions",
            agent=None,
        ),
        touch(
            ago(days=3, hours=2),
            ZEYNEP,
            zeynep,
            Outcome.ANSWERED,
            queue="Support",
            wait_s=18.0,
            talk_s=412.0,
        ),
        touch(
            ago(days=1, hours=5),
            ZEYNEP,
            zeynep,
            Outcome.ABANDONED,
            queue="Support",
            agent=None,
            wait_s=96.0,
        ),
        touch(
            ago(days=1, hours=4.5),
            ZEYNEP,
            zeynep,
            Outcome.ANSWERED,
            direction=Direction.OUTBOUND,
            talk_s=184.0,
        ),
        touch(
            ago(days=1, hours=3),
            olivia,
            people.known("Olivia Bennett", olivia, "exact address"),
            Outcome.RECEIVED,
            medium=Medium.EMAIL,
            subject="Where is our shipment 8841? The customs office is asking for the papers again",
            agent=None,
        ),
        touch(ago(hours=3.2), STRANGER, no_match(STRANGER), Outcome.NO_ANSWER, agent=None),
        touch(
            ago(hours=2.4),
            SERGEI,
            sergei,
            Outcome.ANSWERED,
            queue="Sales",
            wait_s=7.0,
            talk_s=903.0,
        ),
        touch(
            ago(hours=1.7),
            SWITCHBOARD,
            people.ambiguous(["Hakan Demir", "Elif Şahin", "Oğuzhan Çelik"], SWITCHBOARD),
            Outcome.ANSWERED,
            queue="Support",
            wait_s=33.0,
            talk_s=126.0,
        ),
        touch(
            ago(hours=1.1),
            COLLEAGUE,
            no_match(COLLEAGUE, MatchResult.INTERNAL),
            Outcome.ANSWERED,
            direction=Direction.INTERNAL,
            talk_s=48.0,
        ),
        touch(
            ago(minutes=26),
            WITHHELD,
            no_match(WITHHELD, MatchResult.WITHHELD),
            Outcome.ABANDONED,
            queue="Support",
            agent=None,
            wait_s=41.0,
        ),
        touch(
            ago(minutes=12),
            HOSTILE_CALLER,
            people.known(HOSTILE, HOSTILE_CALLER),
            Outcome.ANSWERED,
            queue="Sales",
            wait_s=12.0,
            talk_s=305.0,
        ),
    ]


def pop(  # one card, with everything that may vary
    people: People,
    id_: str,
    party: Party,
    match: Match,
    *,
    state: PopState = PopState.RINGING,
    queue: str = "Support",
    direction: str = "inbound",
    touch: int = 1,
    waited_s: float | None = 24.0,
    rang_s: float = 6,
    talked_s: float | None = None,
    recent: tuple[Touch, ...] = (),
    note: str = "",
) -> ScreenPop:
    """A card of Ece."""
    ringing_at = ago(seconds=rang_s + (talked_s or 0))
    answered_at = ago(seconds=talked_s) if talked_s is not None else None
    return ScreenPop(
        id=id_,
        agent=people.ece.id,
        call=f"call-{id_}",
        touch=touch,
        state=state,
        direction=direction,
        party=party,
        match=match,
        dialed="0850 000 10 00" if direction == "inbound" else "",
        queue=queue,
        waited_s=waited_s,
        ringing_at=ringing_at,
        answered_at=answered_at,
        ended_at=ago() if state is PopState.ENDED else None,
        recent=recent,
        note=note,
    )


def queues(people: People) -> list[LiveQueue]:
    """Three queues: a busy one, a quiet one, and one that nobody serves."""
    strangers = [phone("+905320007711"), phone("+905420007722"), phone("+902160007733")]

    def member(
        name: str, state: str, minutes: float, *, reason: str = "", agent: int | None = None
    ) -> LiveMember:
        return LiveMember(
            interface=f"PJSIP/{abs(hash(name)) % 900 + 1000}",
            name=name,
            agent=UserId(agent) if agent else None,
            state=state,
            reason=reason,
            since=ago(minutes=minutes),
        )

    return [
        LiveQueue(
            pbx="main",
            name="Support",
            entries=(
                LiveEntry(
                    call="q1",
                    party=ZEYNEP,
                    name="Zeynep Karagöz",
                    position=1,
                    since=ago(seconds=222),
                ),
                LiveEntry(
                    call="q2", party=strangers[0], name="", position=2, since=ago(seconds=97)
                ),
                LiveEntry(call="q3", party=WITHHELD, name="", position=3, since=ago(seconds=14)),
            ),
            members=(
                member("Ece Yılmaz", "ringing", 0.1, agent=people.ece.id),
                member("Mert Aydın", "in_use", 4.4),
                member("Deniz Arslan", "in_use", 11.2),
                member("Irina Petrova", "paused", 7.5, reason="Lunch"),
                member("Tom Clarke", "unavailable", 31),
            ),
            answered_today=148,
            abandoned_today=9,
            unanswered_today=4,
        ),
        LiveQueue(
            pbx="main",
            name="Sales",
            entries=(),
            members=(
                member("Ece Yılmaz", "ringing", 0.1, agent=people.ece.id),
                member("Selin Koç", "idle", 3.2),
                member("Oleg Smirnov", "on_hold", 1.9),
            ),
            answered_today=61,
            abandoned_today=2,
        ),
        LiveQueue(
            pbx="main",
            name="Night line",
            entries=(
                LiveEntry(
                    call="q4", party=strangers[1], name="", position=1, since=ago(seconds=71)
                ),
            ),
        ),
    ]


def agents(people: People) -> list[LiveAgent]:
    """A shift of nine."""

    def agent(number: int, name: str, state: str, minutes: float, **more: str) -> LiveAgent:
        return LiveAgent(
            agent=UserId(number),
            name=name,
            team=more.get("team", "Support"),
            state=state,
            since=ago(minutes=minutes),
            reason=more.get("reason", ""),
            call=more.get("call", ""),
        )

    return [
        agent(people.ece.id, "Ece Yılmaz", "ringing", 0.1, call="q1"),
        agent(101, "Mert Aydın", "talking", 4.4, call="c2"),
        agent(102, "Deniz Arslan", "talking", 11.2, call="c3"),
        agent(103, "Oleg Smirnov", "held", 1.9, call="c4", team="Sales"),
        agent(104, "Selin Koç", "available", 3.2, team="Sales"),
        agent(105, "Irina Petrova", "paused", 7.5, reason="Lunch"),
        agent(106, "Tom Clarke", "unavailable", 31),
        agent(107, "Burak Öztürk", "offline", 300),
        agent(108, "Anna Volkova", "offline", 1200, team="Sales"),
    ]


def calls(people: People) -> list[LiveCall]:
    """Calls in every state."""

    def call(
        id_: str,
        state: str,
        party: Party,
        match: Match | None,
        *who: LiveParticipant,
        seconds: float,
        queue: str = "Support",
        direction: str = "inbound",
    ) -> LiveCall:
        answered = state in {"talking", "held"}
        return LiveCall(
            id=id_,
            pbx="main",
            direction=direction,
            state=state,
            party=party,
            match=match,
            dialed="0850 000 10 00" if direction == "inbound" else party.address,
            queue=queue,
            started_at=ago(seconds=seconds + 20),
            answered_at=ago(seconds=seconds) if answered else None,
            participants=who,
        )

    def who(endpoint: str, name: str, state: str) -> LiveParticipant:
        return LiveParticipant(endpoint=endpoint, name=name, state=state)

    return [
        call(
            "q1",
            "ringing",
            ZEYNEP,
            people.known("Zeynep Karagöz", ZEYNEP),
            LiveParticipant(
                endpoint="PJSIP/1001", agent=people.ece.id, name="Ece Yılmaz", state="ringing"
            ),
            seconds=202,
        ),
        call("q2", "queued", phone("+905320007711"), None, seconds=77),
        call(
            "c2",
            "talking",
            SWITCHBOARD,
            people.ambiguous(["Hakan Demir", "Elif Şahin"], SWITCHBOARD),
            who("PJSIP/1007", "Mert Aydın", "talking"),
            seconds=264,
        ),
        call(
            "c3",
            "talking",
            HOSTILE_CALLER,
            people.known(HOSTILE, HOSTILE_CALLER),
            who("PJSIP/1003", "Deniz Arslan", "talking"),
            seconds=672,
        ),
        call(
            "c4",
            "held",
            SERGEI,
            people.known("Сергей Ёлкин", SERGEI),
            who("PJSIP/1011", "Oleg Smirnov", "held"),
            seconds=340,
            queue="",
            direction="outbound",
        ),
    ]
