"""Orders to one PBX, on a session of their own that hears no events.

A session of Asterisk does one thing after the other, so an order that takes long would hold back
the events of its session. Nothing is ever repeated: an order fails when the link does, and whoever
gave it decides.
"""

from __future__ import annotations

import secrets
from typing import NoReturn

from cti.ami.events import Uniqueid
from cti.ami.link import Link
from cti.ami.orders import BlindTransfer, HangUp, Order, Originate, QueuePause
from cti.ami.protocol import AmiConnection
from cti.errors import PeerUnavailable


class AmiActions(Link):
    """Gives orders to one PBX: `run` keeps the link, the other methods use it.

    Every order may raise:
        ActionRefused: It holds a value that must not be sent; nothing was sent.
        ActionFailed: The PBX said no, or nothing in time.
        PeerUnavailable: There is no link, or it broke before the answer.
    """

    session = "orders"
    wants_events = False

    async def pause(
        self, interface: str, *, paused: bool, queue: str = "", reason: str = ""
    ) -> None:
        """Pause a queue member, or let it get calls again; in every queue if none is named."""
        await self.give(QueuePause(interface=interface, paused=paused, queue=queue, reason=reason))

    async def call(self, endpoint: str, number: str, *, key: str = "") -> Uniqueid:
        """Ring an agent's phone and dial the number from it.

        Args:
            endpoint: The agent's phone, `PJSIP/1001`.
            number: What to dial, digits.
            key: The same key twice rings once, while the first call lives.

        Returns:
            The Uniqueid that the agent's channel will have.

        """
        channel_id = f"santral-{key or secrets.token_hex(8)}"
        await self.give(
            Originate(
                endpoint=endpoint,
                number=number,
                context=self.settings.dial_context,
                channel_id=channel_id,
                caller_id=number,
                timeout_s=self.settings.dial_timeout_s,
            )
        )
        return Uniqueid(channel_id)

    async def hang_up(self, channel: str) -> None:
        """Hang up one channel, by its exact name."""
        await self.give(HangUp(channel=channel))

    async def transfer(self, channel: str, number: str) -> None:
        """Hand the call of an agent's channel to a number."""
        await self.give(
            BlindTransfer(channel=channel, number=number, context=self.settings.dial_context)
        )

    async def give(self, order: Order) -> None:
        """Have an order done."""
        if self._connection is None or not self.state.up:
            raise PeerUnavailable(f"{self.settings.name}: {self.state.reason}")
        await self._connection.order(order, timeout_s=self.settings.link.order_s)

    def _credentials(self) -> tuple[str, str]:
        return self.settings.actions_user, self.settings.actions_secret.get_secret_value()

    async def _serve(self, connection: AmiConnection) -> NoReturn:
        self._up()
        while True:
            await self._watch(connection)

    def _take(self, raw: bytes, number: int, received_ns: int) -> None:
        """Drop events: FullyBooted comes though none were asked for."""
