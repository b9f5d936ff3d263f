"""Signing in: passwords, sessions and one-time links.

A session is a random token in a cookie; the database keeps only its SHA-256, so that a stolen
database signs nobody in. The websocket and the REST API ask the same `who`. Wrong logins and wrong
passwords get the same answer after the same work.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import TracebackType
from typing import Self

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from agent_ui.settings import SignInLimits
from crm_core.model import User, UserId
from crm_core.ports import SignInSession, Store

log = logging.getLogger(__name__)

_THREADS = 2  # a check takes 64 MiB and a core
_SEEN_EVERY = timedelta(seconds=60)
_MOST_COUNTERS = 20_000
_LONGEST_LOGIN = 200
_LONGEST_PASSWORD = 1024

_hasher = PasswordHasher()


def hash_password(password: str) -> str:
    """The argon2id hash to store for a password. Takes about 0.2 s."""
    return _hasher.hash(password)


class SignInRefusedError(Exception):
    """The sign-in did not work; `code` is `bad_credentials`, `too_many_tries` or `busy`."""

    def __init__(self, code: str, *, retry_after_s: int = 0) -> None:
        super().__init__(code)
        self.code = code
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A user with the session that proves it."""

    user: User
    token_sha256: bytes
    expires_at: datetime


def _now() -> datetime:
    return datetime.now(UTC)


class Auth:
    """Signs people in and out. Use as a context manager: it owns the threads that hash.

    Args:
        store: Where users and sessions are.
        limits: How long a session lasts and how often one may try.
        ended: Told the hash of each session that was ended here, to close its sockets.
        clock: Seconds that only rise.
        now: The time of day.
        hasher: Which argon2 parameters to check with; tests use cheap ones.
    """

    def __init__(
        self,
        store: Store,
        limits: SignInLimits | None = None,
        *,
        ended: Callable[[bytes], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _now,
        hasher: PasswordHasher = _hasher,
    ) -> None:
        self._store = store
        self._limits = limits or SignInLimits()
        self._ended = ended
        self._now = now
        self._hasher = hasher
        self._failures = _Failures(self._limits, clock)
        self._waiting = 0
        self._decoy: str | None = None
        self._stack = ExitStack()
        self._threads = self._stack.enter_context(
            ThreadPoolExecutor(_THREADS, thread_name_prefix="password")
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    async def sign_in(
        self, login: str, password: str, *, address: str, earlier: str = ""
    ) -> tuple[str, User]:
        """A new session for the right password: its token and the user.

        Args:
            login: As typed.
            password: As typed.
            address: The client's IP address, for the limit of failures.
            earlier: The token of the session that this one replaces.

        Raises:
            SignInRefusedError: it is not the right password, or was tried too often.
        """
        login = login.strip()
        wait = self._failures.wait(login, address)
        if wait > 0:
            raise SignInRefusedError("too_many_tries", retry_after_s=wait)
        async with self._store.begin() as uow:
            found = None
            if login and len(login) <= _LONGEST_LOGIN:
                found = await uow.users.by_login(login)
        user, password_hash = found if found is not None else (None, None)
        # Counted before it is known: who tries many at once is not to get past the limit.
        wait = self._failures.wait(login, address)
        if wait > 0:
            raise SignInRefusedError("too_many_tries", retry_after_s=wait)
        self._failures.add(login, address)
        try:
            right = await self._verify(password_hash, password)
        except SignInRefusedError:
            self._failures.take_back(login, address)
            raise
        if user is None or not right or not user.active:
            log.warning("refused a sign-in from %s", address, extra={"action": "sign_in_refused"})
            raise SignInRefusedError("bad_credentials")
        self._failures.take_back(login, address)
        self._failures.forgive(login, address)
        token = await self._open(user.id, earlier=earlier)
        log.info("%s signed in", user.login, extra={"action": "signed_in", "user": user.id})
        return token, user

    async def who(self, token: str) -> SignedIn | None:
        """Who holds this token, or None. Notes that the session is in use."""
        return await self.check(token_hash(token)) if token else None

    async def check(self, token_sha256: bytes) -> SignedIn | None:
        """The same by the token's hash."""
        now = self._now()
        async with self._store.begin() as uow:
            session = await uow.users.session(token_sha256)
            if session is None:
                return None
            user = await uow.users.get(session.user)
            if user is None or not user.active or now >= self._end(session):
                await uow.users.close_session(token_sha256)
                await uow.commit()
                return None
            if now - session.last_seen_at >= _SEEN_EVERY:
                await uow.users.touch_session(token_sha256, seen_at=now)
                await uow.commit()
            return SignedIn(user=user, token_sha256=token_sha256, expires_at=session.expires_at)

    async def still_signed_in(self, tokens_sha256: Collection[bytes]) -> dict[bytes, User]:
        """Whose sessions these are, without those that have ended: for sockets that stay open.

        Notes that the sessions are in use.
        """
        now = self._now()
        async with self._store.begin() as uow:
            sessions = await uow.users.sessions(tokens_sha256)
            users = {user.id: user for user in await uow.users.all() if user.active}
            good = [one for one in sessions if one.user in users and now < self._end(one)]
            old = [one.token_sha256 for one in good if now - one.last_seen_at >= _SEEN_EVERY]
            if old:
                await uow.users.touch_session(*old, seen_at=now)
                await uow.commit()
        return {one.token_sha256: users[one.user] for one in good}

    def _end(self, session: SignInSession) -> datetime:
        """When a session ends unless it is used until then."""
        idle_until = session.last_seen_at + timedelta(hours=self._limits.idle_hours)
        return min(session.expires_at, idle_until)

    async def sign_out(self, signed_in: SignedIn) -> None:
        """End the session and close its sockets."""
        async with self._store.begin() as uow:
            await uow.users.close_session(signed_in.token_sha256)
            await uow.commit()
        self._ended(signed_in.token_sha256)
        user = signed_in.user
        log.info("%s signed out", user.login, extra={"action": "signed_out", "user": user.id})

    async def make_link(self, user: UserId, *, lifetime: timedelta = timedelta(hours=1)) -> str:
        """A token that signs the user in once; the page is `/signin/<token>`."""
        token = secrets.token_urlsafe(32)
        async with self._store.begin() as uow:
            await uow.users.add_link(
                token_hash(token), user=user, expires_at=self._now() + lifetime
            )
            await uow.commit()
        return token

    async def use_link(self, token: str, *, earlier: str = "") -> tuple[str, User] | None:
        """A new session for an unused link: its token and the user; None if the link is no good."""
        async with self._store.begin() as uow:
            user_id = await uow.users.use_link(token_hash(token), at=self._now())
            user = await uow.users.get(user_id) if user_id is not None else None
            await uow.commit()
        if user is None or not user.active:
            return None
        session = await self._open(user.id, earlier=earlier)
        log.info(
            "%s signed in by a link", user.login, extra={"action": "signed_in", "user": user.id}
        )
        return session, user

    @property
    def lifetime(self) -> timedelta:
        """How long a session lasts at most: the age of its cookie."""
        return timedelta(hours=self._limits.absolute_hours)

    async def _open(self, user: UserId, *, earlier: str) -> str:
        """Every sign-in is a new session with a new token; the browser's old one ends."""
        token = secrets.token_urlsafe(32)
        now = self._now()
        async with self._store.begin() as uow:
            if earlier:
                await uow.users.close_session(token_hash(earlier))
            await uow.users.open_session(
                SignInSession(
                    token_sha256=token_hash(token),
                    user=user,
                    created_at=now,
                    last_seen_at=now,
                    expires_at=now + self.lifetime,
                )
            )
            await uow.commit()
        if earlier:
            self._ended(token_hash(earlier))
        return token

    async def _verify(self, password_hash: str | None, password: str) -> bool:
        if self._waiting >= self._limits.waiting:
            raise SignInRefusedError("busy", retry_after_s=5)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._threads, self._verify_here, password_hash, password
            )
        finally:
            self._waiting -= 1

    def _verify_here(self, password_hash: str | None, password: str) -> bool:
        if len(password) > _LONGEST_PASSWORD:
            password = ""
        known = password_hash is not None
        if password_hash is None:
            # The same work for a login that does not exist, so that time does not tell.
            if self._decoy is None:
                self._decoy = self._hasher.hash(secrets.token_urlsafe(16))
            password_hash = self._decoy
        try:
            self._hasher.verify(password_hash, password)
        except (Argon2Error, InvalidHashError, UnicodeError):
            return False
        return known


def token_hash(token: str) -> bytes:
    """What the database keeps of a token. Tokens are random, so no salt is needed."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class _Failures:
    """How often signing in failed lately, by login and by address. Kept in memory only."""

    def __init__(self, limits: SignInLimits, clock: Callable[[], float]) -> None:
        self._window = limits.window_s
        self._clock = clock
        self._limits = limits
        self._counts: OrderedDict[tuple[str, ...], tuple[float, int]] = OrderedDict()

    def wait(self, login: str, address: str) -> int:
        """The seconds until the next try is allowed, 0 if it is now."""
        now = self._clock()
        longest = 0.0
        for key, most in self._keys(login, address):
            began, count = self._counts.get(key, (now, 0))
            if count >= most and now - began < self._window:
                longest = max(longest, self._window - (now - began))
        return int(longest) + 1 if longest > 0 else 0

    def add(self, login: str, address: str) -> None:
        """Count a failure."""
        now = self._clock()
        for key, _ in self._keys(login, address):
            began, count = self._counts.pop(key, (now, 0))
            if now - began >= self._window:
                began, count = now, 0
            self._counts[key] = (began, count + 1)
        while len(self._counts) > _MOST_COUNTERS:
            self._counts.popitem(last=False)

    def take_back(self, login: str, address: str) -> None:
        """What was counted was no failure."""
        for key, _ in self._keys(login, address):
            began, count = self._counts.get(key, (0.0, 0))
            if count > 0:
                self._counts[key] = (began, count - 1)

    def forgive(self, login: str, address: str) -> None:
        """The right password clears what this person mistyped here."""
        key, _ = self._keys(login, address)[0]
        self._counts.pop(key, None)

    def _keys(self, login: str, address: str) -> list[tuple[tuple[str, ...], int]]:
        login, address = login.casefold()[:_LONGEST_LOGIN], _line(address)
        return [
            (("both", login, address), self._limits.failures_per_login_and_address),
            (("address", address), self._limits.failures_per_address),
            (("login", login), self._limits.failures_per_login),
        ]


def _line(address: str) -> str:
    """What belongs to one line of a provider: an IPv4 address, or 64 bits of an IPv6 one."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, IPv4Address):
        return str(ip)
    mapped = ip.ipv4_mapped
    return str(mapped) if mapped else str(IPv6Address(int(ip) >> 64 << 64))
