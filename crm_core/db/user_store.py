"""Users, their sessions and sign-in links in the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, exc, select, update

from crm_core.db.tables import app_user, sign_in_link, sign_in_session, user_phone
from crm_core.db.transaction import Transaction
from crm_core.errors import Conflict, NotFound
from crm_core.model import Endpoint, Role, User, UserId
from crm_core.ports import SignInSession
from crm_core.text import storable


class SqlUsers:
    """A `UserStore` on a database."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(
        self,
        *,
        login: str,
        name: str,
        role: str,
        team: str = "",
        language: str = "en",
        email: str = "",
        phones: Iterable[tuple[str, str]] = (),
        password_hash: str | None = None,
    ) -> User:
        """Create a user."""
        login = storable(login).casefold()
        row = {
            "login": login,
            "name": name,
            "role": Role(role),
            "team": team,
            "language": language,
            "email": email,
            "active": True,
            "password_hash": password_hash,
        }
        created = await self._transaction.write(
            self._transaction.insert(app_user)
            .values(row)
            .on_conflict_do_nothing(index_elements=["login"])
            .returning(app_user.c.id)
        )
        id_ = created.scalar_one_or_none()
        if id_ is None:
            self._transaction.fail()
            raise Conflict(f"the login {login!r} is taken")
        await self._give_phones(UserId(id_), _endpoints(phones), first=0)
        user = await self.get(UserId(id_))
        assert user is not None, "it was created in this transaction"  # noqa: S101
        return user

    async def change(
        self,
        user: UserId,
        *,
        name: str | None = None,
        role: str | None = None,
        team: str | None = None,
        language: str | None = None,
        email: str | None = None,
        active: bool | None = None,
        add_phones: Iterable[tuple[str, str]] = (),
        remove_phones: Iterable[tuple[str, str]] = (),
    ) -> User:
        """Change what is given of a user."""
        given = {
            "name": name,
            "role": None if role is None else Role(role),
            "team": team,
            "language": language,
            "email": email,
            "active": active,
        }
        row = {column: value for column, value in given.items() if value is not None}
        if row:
            await self._transaction.write(update(app_user).where(app_user.c.id == user).values(row))
        old = await self.get(user)
        if old is None:
            raise NotFound(f"no user {user}")
        for phone in _endpoints(remove_phones):
            removed = await self._transaction.write(
                delete(user_phone).where(
                    user_phone.c.user_id == user,
                    user_phone.c.pbx == phone.pbx,
                    user_phone.c.name == phone.name,
                )
            )
            if removed.rowcount == 0:
                self._transaction.fail()
                raise NotFound(f"{old.login!r} has no phone {phone.name!r}")
        had = await self._transaction.read(
            select(user_phone.c.pbx, user_phone.c.name, user_phone.c.position).where(
                user_phone.c.user_id == user
            )
        )
        places = {(each.pbx, each.name): each.position for each in had}
        new = [
            phone
            for phone in dict.fromkeys(_endpoints(add_phones))
            if (phone.pbx, phone.name) not in places
        ]
        await self._give_phones(user, new, first=max(places.values(), default=-1) + 1)
        if active is False:
            await self._sign_out(user)
        changed = await self.get(user)
        assert changed is not None, "it was there in this transaction"  # noqa: S101
        return changed

    async def _give_phones(self, user: UserId, phones: Iterable[Endpoint], *, first: int) -> None:
        for position, phone in enumerate(phones, first):
            taken = await self._transaction.write(
                self._transaction.insert(user_phone)
                .values(pbx=phone.pbx, name=phone.name, user_id=user, position=position)
                .on_conflict_do_nothing(index_elements=["pbx", "name"])
                .returning(user_phone.c.user_id)
            )
            if taken.one_or_none() is None:
                self._transaction.fail()
                raise Conflict(f"the phone {phone.name!r} belongs to somebody else")

    async def get(self, user: UserId) -> User | None:
        """The user, or None."""
        row = (
            await self._transaction.read(select(app_user).where(app_user.c.id == user))
        ).one_or_none()
        return None if row is None else _user(row, await self._phones(user))

    async def by_login(self, login: str) -> tuple[User, str | None] | None:
        """The user with this login and the password hash, or None."""
        wanted = storable(login).casefold()
        row = (
            await self._transaction.read(select(app_user).where(app_user.c.login == wanted))
        ).one_or_none()
        if row is None:
            return None
        return _user(row, await self._phones(row.id)), row.password_hash

    async def all(self) -> list[User]:
        """Every user."""
        phones: dict[int, list[Endpoint]] = {}
        ordered = select(user_phone).order_by(user_phone.c.user_id, user_phone.c.position)
        for row in await self._transaction.read(ordered):
            phones.setdefault(row.user_id, []).append(Endpoint(pbx=row.pbx, name=row.name))
        rows = await self._transaction.read(select(app_user).order_by(app_user.c.id))
        return [_user(row, phones.get(row.id, ())) for row in rows]

    async def set_password_hash(self, user: UserId, password_hash: str | None) -> None:
        """Replace the password hash and end all sessions and unused links of the user."""
        changed = await self._transaction.write(
            update(app_user).where(app_user.c.id == user).values(password_hash=password_hash)
        )
        if changed.rowcount == 0:
            raise NotFound(f"no user {user}")
        await self._sign_out(user)

    async def _sign_out(self, user: UserId) -> None:
        for table in (sign_in_session, sign_in_link):
            await self._transaction.write(delete(table).where(table.c.user_id == user))

    async def open_session(self, session: SignInSession) -> None:
        """Store a session, and forget what has expired."""
        for table in (sign_in_session, sign_in_link):
            await self._transaction.write(
                delete(table).where(table.c.expires_at <= session.created_at)
            )
        statement = self._transaction.insert(sign_in_session).values(
            token_sha256=session.token_sha256,
            user_id=session.user,
            created_at=session.created_at,
            last_seen_at=session.last_seen_at,
            expires_at=session.expires_at,
        )
        try:
            await self._transaction.write(statement)
        except exc.IntegrityError as error:
            raise NotFound(f"no user {session.user}") from error

    async def session(self, token_sha256: bytes) -> SignInSession | None:
        """The session with this token's hash, or None."""
        wanted = select(sign_in_session).where(sign_in_session.c.token_sha256 == token_sha256)
        row = (await self._transaction.read(wanted)).one_or_none()
        return None if row is None else _session(row)

    async def sessions(self, tokens_sha256: Iterable[bytes]) -> list[SignInSession]:
        """Those of the sessions that there are."""
        wanted = select(sign_in_session).where(
            sign_in_session.c.token_sha256.in_(set(tokens_sha256))
        )
        return [_session(row) for row in await self._transaction.read(wanted)]

    async def touch_session(self, *tokens_sha256: bytes, seen_at: datetime) -> None:
        """Note that the sessions are in use."""
        await self._transaction.write(
            update(sign_in_session)
            .where(sign_in_session.c.token_sha256.in_(tokens_sha256))
            .values(last_seen_at=seen_at)
        )

    async def close_session(self, token_sha256: bytes) -> None:
        """End a session; nothing happens if there is none."""
        await self._transaction.write(
            delete(sign_in_session).where(sign_in_session.c.token_sha256 == token_sha256)
        )

    async def add_link(self, token_sha256: bytes, *, user: UserId, expires_at: datetime) -> None:
        """Store a one-time sign-in link."""
        statement = self._transaction.insert(sign_in_link).values(
            token_sha256=token_sha256, user_id=user, expires_at=expires_at
        )
        try:
            await self._transaction.write(statement)
        except exc.IntegrityError as error:
            raise NotFound(f"no user {user}") from error

    async def use_link(self, token_sha256: bytes, *, at: datetime) -> UserId | None:
        """The user of an unused, unexpired link, which is used up by this; else None."""
        # One statement finds and removes it, so of two that try at once only one gets in.
        used = await self._transaction.write(
            delete(sign_in_link)
            .where(sign_in_link.c.token_sha256 == token_sha256, sign_in_link.c.expires_at > at)
            .returning(sign_in_link.c.user_id)
        )
        user = used.scalar_one_or_none()
        return None if user is None else UserId(user)

    async def _phones(self, user: int) -> list[Endpoint]:
        wanted = (
            select(user_phone).where(user_phone.c.user_id == user).order_by(user_phone.c.position)
        )
        return [
            Endpoint(pbx=row.pbx, name=row.name) for row in await self._transaction.read(wanted)
        ]


def _endpoints(phones: Iterable[tuple[str, str]]) -> Iterator[Endpoint]:
    return (Endpoint(pbx=storable(pbx), name=storable(name)) for pbx, name in phones)


def _session(row: Row[Any]) -> SignInSession:
    return SignInSession(
        token_sha256=row.token_sha256,
        user=UserId(row.user_id),
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        expires_at=row.expires_at,
    )


def _user(row: Row[Any], phones: Iterable[Endpoint]) -> User:
    return User(
        id=UserId(row.id),
        login=row.login,
        name=row.name,
        role=Role(row.role),
        team=row.team,
        language=row.language,
        email=row.email,
        phones=tuple(phones),
        active=row.active,
    )
