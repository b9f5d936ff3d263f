"""SIP phones and outside callers that a test moves like people: dial, answer, hold, transfer.

Each wait ends with an event of the SIP stack or fails at its deadline; nothing sleeps. The phones
themselves live in a helper process (`tests.lab.phones_process`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.lab.asterisk import Asterisk
from tests.lab.processes import LabError, NotInstalledError

DEADLINE = 10.0
"""Seconds that a phone may take for anything it was asked for."""

_REMOTE = re.compile(r'^(?:"(?P<name>.*)"\s*)?<?sip:(?:(?P<user>[^@>]*)@)?')


class PhoneCall:
    """One call as one phone sees it.

    `state` is PJSIP's word: ``CALLING``, ``INCOMING``, ``EARLY``, ``CONNECTING``, ``CONFIRMED`` or
    ``DISCONNECTED``.
    """

    def __init__(self, phones: Phones, key: int, line: str) -> None:
        self._phones = phones
        self.key = key
        self.line = line
        """The extension, or the outside number, whose call this is."""
        self.number = ""
        """Number of the other side, as this phone shows it (incoming calls only)."""
        self.name = ""
        """Name of the other side, as this phone shows it (incoming calls only)."""
        self.message = ""
        """The whole INVITE (incoming calls only)."""
        self.state = ""
        self.code = 0
        """The last SIP code of the call."""
        self.media = "none"
        """``active``, ``held``, ``held_by_peer`` or ``none``."""
        self.transfer_code = 0
        self.digits = ""
        """Keys that the other side pressed."""

    def __repr__(self) -> str:
        return f"<PhoneCall {self.line} #{self.key} {self.state} {self.code} {self.media}>"

    @property
    def is_over(self) -> bool:
        """Whether the call has ended on this phone."""
        return self.state == "DISCONNECTED"

    async def ringing(self, seconds: float = DEADLINE) -> None:
        """Wait until the other side rings (180 or 183 came back)."""
        await self._until("ringing", lambda: self.state == "EARLY" or self._confirmed, seconds)

    async def confirmed(self, seconds: float = DEADLINE) -> None:
        """Wait until the call is answered and sound flows."""
        await self._until("answered", lambda: self._confirmed and self.media != "none", seconds)

    async def ended(self, seconds: float = DEADLINE) -> int:
        """Wait until the call is over; return its last SIP code."""
        await self._until("over", lambda: self.is_over, seconds)
        return self.code

    async def answer(self) -> None:
        """Take the call and wait until it stands."""
        await self._do("answer", code=200)
        await self.confirmed()

    async def ring(self, code: int = 180) -> None:
        """Send 180 or 183 (lines do the first by themselves, see `Phones.on_call`)."""
        await self._do("answer", code=code)

    async def reject(self, code: int = 486) -> None:
        """Refuse the call and wait until it is over."""
        await self._do("answer", code=code)
        await self.ended()

    async def redirect(self, number: str) -> None:
        """Refuse the call with 302 and another number."""
        await self._do("redirect", number=number)
        await self.ended()

    async def hangup(self) -> None:
        """End the call from this side and wait until it is over."""
        await self._do("hangup")
        await self.ended()

    async def hold(self) -> None:
        """Put the other side on hold and wait until Asterisk agreed."""
        await self._do("hold")
        await self._until("held", lambda: self.media == "held")

    async def unhold(self) -> None:
        """Take the other side back and wait until sound flows."""
        await self._do("unhold")
        await self._until("active", lambda: self.media == "active")

    async def dtmf(self, digits: str) -> None:
        """Press keys."""
        await self._do("dtmf", digits=digits)

    async def transfer(self, number: str) -> None:
        """Transfer the other side blindly, and leave once Asterisk agreed, as desk phones do."""
        await self._do("transfer", number=number)
        await self._leave_transferred()

    async def attended(self, other: PhoneCall) -> None:
        """Connect the other sides of this call and of ``other``, and leave both."""
        await self._do("attended", other=other.key)
        await self._leave_transferred()
        if not other.is_over:
            await other.hangup()

    async def _leave_transferred(self) -> None:
        await self._phones.until(
            lambda: self.transfer_code >= 200 or self.is_over, f"{self!r} to be transferred"
        )
        if self.transfer_code >= 300:
            raise LabError(f"Asterisk refused the transfer with {self.transfer_code}")
        if not self.is_over:
            await self.hangup()

    @property
    def _confirmed(self) -> bool:
        return self.state == "CONFIRMED"

    async def _do(self, command: str, **arguments: Any) -> None:
        await self._phones.command(command, call=self.key, **arguments)

    async def _until(
        self, what: str, reached: Callable[[], bool], seconds: float = DEADLINE
    ) -> None:
        await self._phones.until(
            lambda: reached() or self.is_over, f"{self!r} to be {what}", seconds
        )
        if not reached():
            raise LabError(f"{self!r} ended instead of being {what}")


class Phones:
    """All phones of a test and the outside world behind the trunk: an async context manager."""

    def __init__(
        self, asterisk: Asterisk, *, port: int | None = None, log: Path | None = None
    ) -> None:
        try:
            import pjsua2  # noqa: F401
        except ImportError as error:
            raise NotInstalledError("pjsua2-python is not installed") from error
        self._asterisk = asterisk
        self._port = asterisk.trunk_port if port is None else port
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self._replies: dict[int, asyncio.Future[Any]] = {}
        self._last_id = 0
        self._ready = False
        self._over = False
        self._calls: dict[int, PhoneCall] = {}
        self._incoming: dict[str, list[PhoneCall]] = {}
        self._registered: dict[str, tuple[int, bool]] = {}

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("phones_process.py")),
            str(self._port),
            str(self._asterisk.sip_port),
            str(self._log or ""),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=None if self._log else asyncio.subprocess.DEVNULL,
            limit=1 << 20,
        )
        loop = asyncio.get_running_loop()
        self._reader = loop.create_task(self._read(), name="lab phones")
        await self.until(lambda: self._ready, "the phones to start")
        return self

    async def __aexit__(self, *_: object) -> None:
        process, reader = self._process, self._reader
        if process is None or reader is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), DEADLINE)
        except TimeoutError:
            process.kill()
            await process.wait()
        reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reader

    async def register(self, *lines: str) -> None:
        """Register these extensions and wait until Asterisk accepted them."""
        for line in lines:
            self._registered.pop(line, None)
            await self.command("register", line=line, password=self._asterisk.phone_password)
        for line in lines:
            await self._until_registered(line)

    async def register_at(self, asterisk: Asterisk, line: str) -> None:
        """Register an extension that no other phone here has, at another PBX."""
        await self.command(
            "register",
            line=line,
            password=asterisk.phone_password,
            asterisk=f"127.0.0.1:{asterisk.sip_port}",
        )
        await self._until_registered(line)

    async def _until_registered(self, line: str) -> None:
        await self.until(lambda: line in self._registered, f"{line} to register")
        if self._registered[line] != (200, True):
            raise LabError(f"{line} could not register: {self._registered[line]}")

    async def unregister(self, *lines: str) -> None:
        """Take these extensions off the net and wait until Asterisk knows."""
        for line in lines:
            await self.command("unregister", line=line)
            await self.until(
                lambda line=line: self._registered.get(line) == (200, False),  # type: ignore[misc]
                f"{line} to unregister",
            )

    async def on_call(self, line: str, code: int) -> None:
        """Choose what a line does by itself when it is called: 180 (the start), 183, 486, 0."""
        await self.command("set_on_call", line=line, code=code)

    async def outside(self, number: str, *, name: str = "") -> None:
        """Add a number of the outside world, to be called through the trunk."""
        await self.command("outside", line=number, name=name)

    async def dial(self, line: str, number: str) -> PhoneCall:
        """Dial a number on a registered phone."""
        key = await self.command("dial", line=line, number=number)
        return self._call(key, line)

    async def call_in(
        self,
        number: str,
        did: str,
        *,
        name: str = "",
        withheld: bool = False,
        asserted: bool = False,
    ) -> PhoneCall:
        """Call one of our numbers (see `Did`) from the outside.

        Args:
            number: The caller's number.
            did: The number that is called.
            name: The caller's display name; a double quote is refused here (use `sipp`).
            withheld: Hide number and name (RFC 3323: anonymous From, ``Privacy: id``).
            asserted: With ``withheld``: tell the PBX the number in P-Asserted-Identity, as many
                providers do.

        """
        headers: dict[str, str] = {}
        uri = ""
        if withheld:
            uri = '"Anonymous" <sip:anonymous@anonymous.invalid>'
            headers["Privacy"] = "id"
            if asserted:
                headers["P-Asserted-Identity"] = f"<sip:{number}@127.0.0.1>"
        await self.command("outside", line=number, name=name, uri=uri)
        key = await self.command("dial", line=number, number=did, headers=headers)
        return self._call(key, number)

    async def incoming(self, line: str, seconds: float = DEADLINE) -> PhoneCall:
        """Wait for the next call to this line (or take one that came already)."""
        waiting = self._incoming.setdefault(line, [])
        await self.until(lambda: bool(waiting), f"a call to {line}", seconds)
        return waiting.pop(0)

    def has_incoming(self, line: str) -> bool:
        """Return whether a call to this line came that nobody took by `incoming`."""
        return bool(self._incoming.get(line))

    async def until(
        self, reached: Callable[[], bool], what: str, seconds: float = DEADLINE
    ) -> None:
        """Wait for a condition that only events of the phones can make true."""
        async with self._changed:
            try:
                await asyncio.wait_for(
                    self._changed.wait_for(lambda: self._over or reached()), seconds
                )
            except TimeoutError:
                raise LabError(f"waited {seconds} s in vain for {what}") from None
            if not reached():
                raise LabError(f"the phones ended while waiting for {what}")

    async def command(self, do: str, **arguments: Any) -> Any:
        """Send one command to the helper process and return its result."""
        if self._process is None or self._process.stdin is None:
            raise LabError("the phones are not running")
        self._last_id += 1
        reply = asyncio.get_running_loop().create_future()
        self._replies[self._last_id] = reply
        line = json.dumps({"id": self._last_id, "do": do, **arguments})
        self._process.stdin.write(line.encode() + b"\n")
        return await asyncio.wait_for(reply, DEADLINE)

    async def _read(self) -> None:
        try:
            await self._read_messages()
        finally:
            self._over = True
            for reply in self._replies.values():
                if not reply.done():
                    reply.set_exception(LabError("the phones ended"))
            async with self._changed:
                self._changed.notify_all()

    async def _read_messages(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            message = json.loads(line)
            if "reply" in message:
                reply = self._replies.pop(message["reply"])
                if reply.done():
                    continue
                if "error" in message:
                    reply.set_exception(LabError(f"phones: {message['error']}"))
                else:
                    reply.set_result(message["result"])
                continue
            async with self._changed:
                self._note(message)
                self._changed.notify_all()

    def _note(self, message: dict[str, Any]) -> None:
        match message:
            case {"event": "ready"}:
                self._ready = True
            case {"event": "registration", "line": line, "code": code, "active": active}:
                self._registered[line] = (code, active)
            case {"event": "incoming", "call": key, "line": line}:
                call = self._call(key, line)
                call.state = "INCOMING"
                call.message = message["message"]
                if found := _REMOTE.match(message["remote"]):
                    call.name = found["name"] or ""
                    call.number = found["user"] or ""
                self._incoming.setdefault(line, []).append(call)
            case {"event": "state", "call": key, "line": line, "state": state, "code": code}:
                call = self._call(key, line)
                call.state, call.code = state, code
            case {"event": "media", "call": key, "line": line, "media": media}:
                self._call(key, line).media = media
            case {"event": "transfer", "call": key, "line": line, "code": code}:
                self._call(key, line).transfer_code = code
            case {"event": "digit", "call": key, "line": line, "digit": digit}:
                self._call(key, line).digits += digit
            case _:
                raise LabError(f"the phones said something unknown: {message}")

    def _call(self, key: int, line: str) -> PhoneCall:
        if key not in self._calls:
            self._calls[key] = PhoneCall(self, key, line)
        return self._calls[key]
