"""The history in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, func, or_, select, tuple_, update

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

# Built once: the question asked while a phone rings.
_of_contact = (
    select(history)
    .where(_columns.contact_id == bindparam("contact"))
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
        statement = select(history).order_by(_columns.at.desc(), _columns.id.desc())
        if contact is not None:
            statement = statement.where(_columns.contact_id == contact)
        if agent is not None:
            statement = statement.where(_columns.agent_id == agent)
        if medium is not None:
            statement = statement.where(_columns.medium == medium)
        if teams is not None or visible_to is not None:
            statement = statement.where(_visible(teams, visible_to))
        if after is not None:
            at, row = read_time_cursor(after)
            # Written out, not as literal_column: the types turn the values into the database's.
            statement = statement.where(
                tuple_(_columns.at, _columns.id)
                < tuple_(
                    bindparam("after_at", at, type_=_columns.at.type),
                    bindparam("after_id", row, type_=_columns.id.type),
                )
            )
        rows = (await self._transaction.read(statement.limit(limit + 1))).all()
        found = [_touch(row) for row in rows[:limit]]
        more = found and len(rows) > limit
        return found, time_cursor(found[-1].at, found[-1].id) if more else None

    async def unfinished(self, *, key_prefix: str) -> list[Touch]:
        """Touches still in progress whose key starts so."""
        statement = (
            select(history)
            .where(
                _columns.outcome == Outcome.IN_PROGRESS,
                _columns.key.startswith(key_prefix, autoescape=True),
            )
            .order_by(_columns.at, _columns.id)
        )
        return [
            found
            for row in await self._transaction.read(statement)
            # LIKE does not tell upper from lower case on SQLite.
            if (found := _touch(row)).key.startswith(key_prefix)
        ]

    async def _one(self, statement: Any, wanted: object) -> Touch | None:
        row = (await self._transaction.read(statement, {"wanted": wanted})).one_or_none()
        return None if row is None else _touch(row)


def _visible(teams: Sequence[str] | None, user: UserId | None) -> ColumnElement[bool]:
    ways: list[ColumnElement[bool]] = [_columns.team.in_(list(teams or ()))]
    if user is not None:
        ways.append(_columns.agent_id == user)
        ways.append(_columns.contact_id.in_(select(contact.c.id).where(contact.c.owner_id == user)))
    return or_(*ways)


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
