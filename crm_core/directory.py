"""Who is at which phone: the users as the live parts of the system need them.

Loaded from the database at the start and replaced whole when users change, so that no ring ever
waits for a lookup of its agent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from crm_core.model import User, UserId


@dataclass(slots=True)
class Directory:
    """Users by id and by phone."""

    _by_id: dict[UserId, User] = field(default_factory=dict)
    _by_phone: dict[tuple[str, str], User] = field(default_factory=dict)
    _watchers: list[Callable[[], None]] = field(default_factory=list)

    def replace(self, users: Iterable[User]) -> None:
        """Know exactly these users from now on; inactive ones are left out."""
        active = [user for user in users if user.active]
        if active == self.all():
            return
        self._by_id = {user.id: user for user in active}
        self._by_phone = {
            (phone.pbx, phone.name.casefold()): user for user in active for phone in user.phones
        }

        for watcher in self._watchers:
            watcher()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have `watcher` called whenever the users changed."""
        self._watchers.append(watcher)

    def at(self, pbx: str, endpoint: str) -> User | None:
        """The user whose phone this endpoint (`PJSIP/1001`) of the PBX is, or None."""
        return self._by_phone.get((pbx, endpoint.casefold()))

    def get(self, user: UserId | None) -> User | None:
        """The user with this id, or None."""
        return None if user is None else self._by_id.get(user)

    def all(self) -> list[User]:
        """Every active user."""
        return list(self._by_id.values())
