"""The history in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    bindparam,
    false,
    func,
    or_,
    select,
    text,
    tuple_,
    union,
    update,
)

from crm_core.cursors import read_time_cursor, time_cursor
from crm_core.db.tables import app_user, contact
from crm_core.db.tables import touch as history
from crm_core.db.transaction import Transaction
from crm_core.errors import NotFound
from crm_core.model import (
    AccountId,
    Candidate,
    ContactId,
    Direction,
    Match,
    MatchResult,
    Medium,
    Outcome,
    Party,
    PartyKind,
    Touch,
    TouchId,
    UserId,
)
from crm_core.ports import NewTouch
from crm_core.touches import check_changeable, new_touch, stored_fields

_columns = history.c
_shown = _columns.outcome != Outcome.MERGED
# As it stands in the partial index: with a parameter in its place, no database would use it.
_unfinished = text("outcome = 'in_progress'")

# Built once: the question asked while a phone rings.
_of_contact = (
    select(history)
    .where(_columns.contact_id == bindparam("contact"), _shown)
    .order_by(_columns.at.desc(), _columns.id.desc())
    .limit(bindparam("limit"))
)
_by_key = select(history).where(_columns.key == bindparam("wanted"))
_by_id = select(history).where(_columns.id == bindparam("wanted"))


class SqlTouches:
    """A `TouchStore` on a database."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def open(self, new: NewTouch) -> tuple[Touch, bool]:
        """Store the touch, or return the one that has this key already."""
        stored = new_touch(new, TouchId(0))
        row = _row(
            {
                name: getattr(stored, name)
                for name in (
                    "key", "medium", "direction", "outcome", "at", "ended_at", "party", "match",
                    "agent", "team", "subject", "details",
                )
            }
        )  # fmt: skip
        statement = (
            self._transaction.insert(history)
            .values(**row, agent_name=_name_of(new.agent))
            .on_conflict_do_nothing(index_elements=["key"])
            .returning(_columns.id, _columns.agent_name)
        )
        created = (await self._transaction.write(statement)).one_or_none()
        if created is not None:
            return new_touch(new, TouchId(created.id), agent_name=created.agent_name), True
        known = await self.by_key(new.key)
        assert known is not None, "a touch is never deleted"  # noqa: S101
        return known, False

    async def change(self, touch: TouchId, **fields: object) -> Touch:
        """Set the named fields."""
        check_changeable(fields)
        if not fields:
            unchanged = await self.get(touch)
            if unchanged is None:
                raise NotFound(f"no touch {touch}")
            return unchanged
        row = _row(stored_fields(fields))
        if "agent" in fields and "agent_name" not in fields:
            row["agent_name"] = _name_of(row["agent_id"])
        statement = (
            update(history).where(_columns.id == touch).values(row).returning(*history.columns)
        )
        changed = (await self._transaction.write(statement)).one_or_none()
        if changed is None:
            raise NotFound(f"no touch {touch}")
        return _touch(changed)

    async def get(self, touch: TouchId) -> Touch | None:
        """The touch, or None."""
        return await self._one(_by_id, touch)

    async def by_key(self, key: str) -> Touch | None:
        """The touch with this key, or None."""
        return await self._one(_by_key, key)

    async def of_contact(self, contact: ContactId, *, limit: int = 5) -> list[Touch]:
        """The last touches of a contact, newest first."""
        rows = await self._transaction.read(_of_contact, {"contact": contact, "limit": limit})
        return [_touch(row) for row in rows]

    async def page(
        self,
        *,
        contact: ContactId | None = None,
        agent: UserId | None = None,
        teams: Sequence[str] | None = None,
        visible_to: UserId | None = None,
        medium: Medium | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> tuple[list[Touch], str | None]:
        """Touches, newest first, with the cursor of the next page or None."""
        wanted: list[ColumnElement[bool]] = [_shown]
        if contact is not None:
            wanted.append(_columns.contact_id == contact)
        if agent is not None:
            wanted.append(_columns.agent_id == agent)
        if after is not None:
            wanted.append(_behind(after))
        visible = _visible(teams, visible_to)
        one_persons = contact is not None or agent is not None
        if medium is not None:
            # Only alone it is looked up by its index: of a person's touches it picks out a few, of
            # all touches it names half.
            of_medium: ColumnElement[str] = _columns.medium
            if one_persons or visible is not None:
                of_medium = func.coalesce(_columns.medium, "")
            wanted.append(of_medium == medium)
        if visible is None:
            statement = select(history).where(*wanted)
        elif one_persons:
            statement = select(history).where(*wanted, or_(*(way.holds for way in visible)))
        else:
            statement = _newest_of_each(visible, wanted, limit + 1)
        statement = statement.order_by(_columns.at.desc(), _columns.id.desc())
        rows = (await self._transaction.read(statement.limit(limit + 1))).all()
        found = [_touch(row) for row in rows[:limit]]
        more = found and len(rows) > limit
        return found, time_cursor(found[-1].at, found[-1].id) if more else None

    async def unfinished(self, *, key_prefix: str) -> list[Touch]:
        """Touches still in progress whose key starts so."""
        # A range, which the index answers; LIKE does not tell upper from lower case on SQLite.
        statement = (
            select(history)
            .where(
                _unfinished, _columns.key >= key_prefix, _columns.key < key_prefix + "\U0010ffff"
            )
            .order_by(_columns.at, _columns.id)
        )
        return [_touch(row) for row in await self._transaction.read(statement)]

    async def _one(self, statement: Any, wanted: object) -> Touch | None:
        row = (await self._transaction.read(statement, {"wanted": wanted})).one_or_none()
        return None if row is None else _touch(row)


def _behind(cursor: str) -> ColumnElement[bool]:
    at, row = read_time_cursor(cursor)
    # Written out, not as literal_column: the types turn the values into the database's.
    return tuple_(_columns.at, _columns.id) < tuple_(
        bindparam("after_at", at, type_=_columns.at.type),
        bindparam("after_id", row, type_=_columns.id.type),
    )


class _Way(NamedTuple):
    """A way in which a touch may be visible."""

    holds: ColumnElement[bool]
    in_order: bool = True
    """Whether an index has its touches in the order of time."""


def _visible(teams: Sequence[str] | None, user: UserId | None) -> list[_Way] | None:
    """The ways in which a touch may be visible; None if all are."""
    if teams is None and user is None:
        return None
    ways = [_Way(_columns.team == team) for team in teams or ()]
    if user is not None:
        owned = select(contact.c.id).where(contact.c.owner_id == user)
        ways.append(_Way(_columns.agent_id == user))
        ways.append(_Way(_columns.contact_id.in_(owned), in_order=False))
    return ways or [_Way(false())]


def _newest_of_each(
    ways: Sequence[_Way], wanted: Sequence[ColumnElement[bool]], limit: int
) -> Select[Any]:
    """The newest touches of each way, as many as one page needs.

    An OR over the ways would walk through the whole history in the order of time until enough of
    them are found, which may be never. Each way alone is answered from its index.
    """
    newest: list[Select[Any]] = []
    for way in ways:
        found = select(_columns.id, _columns.at).where(way.holds, *wanted)
        if not way.in_order:
            # OFFSET 0 keeps PostgreSQL from walking through all touches in the order of time,
            # in the hope that enough of them are of a customer of somebody who has none.
            every = found.offset(0).subquery()
            found = select(every.c.id, every.c.at)
        at, id_ = found.selected_columns.at, found.selected_columns.id
        page = found.order_by(at.desc(), id_.desc()).limit(limit).subquery()
        newest.append(select(page.c.id))
    return select(history).where(_columns.id.in_(union(*newest)))


def _name_of(agent: object) -> ColumnElement[str]:
    name = select(app_user.c.name).where(app_user.c.id == agent).scalar_subquery()
    return func.coalesce(name, "")


def _row(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a `Touch` as columns."""
    row = dict(fields)
    if "party" in row:
        party: Party = row["party"]
        row |= {
            "party": _party_json(party),
            "party_kind": party.kind,
            "party_address": party.address,
        }
    if "match" in row:
        match: Match = row["match"]
        row |= {
            "match": _match_json(match),
            "contact_id": match.contact.contact if match.contact else None,
        }
    if "agent" in row:
        row["agent_id"] = row.pop("agent")
    return row


def _touch(row: Row[Any]) -> Touch:
    return Touch(
        id=TouchId(row.id),
        key=row.key,
        medium=Medium(row.medium),
        direction=Direction(row.direction),
        outcome=Outcome(row.outcome),
        at=row.at,
        party=_party(row.party),
        match=_match(row.match),
        agent=None if row.agent_id is None else UserId(row.agent_id),
        agent_name=row.agent_name,
        team=row.team,
        subject=row.subject,
        ended_at=row.ended_at,
        ring_s=row.ring_s,
        wait_s=row.wait_s,
        talk_s=row.talk_s,
        hold_s=row.hold_s,
        details=row.details,
    )


def _party_json(party: Party) -> dict[str, str]:
    return {
        "kind": party.kind,
        "address": party.address,
        "raw": party.raw,
        "name": party.name,
        "region": party.region,
    }


def _party(stored: dict[str, str]) -> Party:
    return Party(
        kind=PartyKind(stored["kind"]),
        address=stored["address"],
        raw=stored["raw"],
        name=stored["name"],
        region=stored["region"],
    )


def _match_json(match: Match) -> dict[str, object]:
    return {
        "result": match.result,
        "party": match.party,
        "candidates": [
            {
                "contact": candidate.contact,
                "name": candidate.name,
                "account": candidate.account,
                "account_id": candidate.account_id,
                "external_id": candidate.external_id,
                "tier": candidate.tier,
                "owner": candidate.owner,
            }
            for candidate in match.candidates
        ],
        "reasons": list(match.reasons),
    }


def _match(stored: dict[str, Any]) -> Match:
    return Match(
        result=MatchResult(stored["result"]),
        party=stored["party"],
        candidates=tuple(
            Candidate(
                contact=ContactId(item["contact"]),
                name=item["name"],
                account=item["account"],
                account_id=None if item["account_id"] is None else AccountId(item["account_id"]),
                external_id=item["external_id"],
                tier=item["tier"],
                owner=None if item["owner"] is None else UserId(item["owner"]),
            )
            for item in stored["candidates"]
        ),
        reasons=tuple(stored["reasons"]),
    )
