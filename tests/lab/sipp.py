"""Callers that no polite SIP stack would play: SIPp with a display name of any bytes.

`Phones` refuses a double quote in a display name; here the name goes out as it stands, quoted as
RFC 3261 says. One `SippCall` is one call from the trunk.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Self
from xml.sax.saxutils import quoteattr

from tests.lab.asterisk import Asterisk
from tests.lab.processes import LabError, free_port, missing, remove_tree

HOSTILE_NAME = 'Zoë "<script>" O\'Brien Şükrü Ёлкин'
"""A display name with quotes, markup and three scripts."""

_INVITE = """\
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: {sender};tag=[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:caller@[local_ip]:[local_port]>
Max-Forwards: 70
{headers}Content-Type: application/sdp
Content-Length: [len]

v=0
o=caller 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
"""

_REQUEST = """\
{method} sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch{branch}]
From: {sender};tag=[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>{to_tag}
Call-ID: [call_id]
CSeq: {sequence} {method}
Contact: <sip:caller@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Length: 0

"""


def quoted(name: str) -> str:
    """Return a display name as a quoted string of RFC 3261."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class SippCall:
    """One call from the trunk: an async context manager that starts it.

    Args:
        asterisk: The PBX to call.
        did: The number that is called (see `Did`).
        number: The caller's number.
        name: The caller's display name: anything but line breaks.
        talk_seconds: The caller hangs up so long after the answer.
        cancel_after: The caller gives up so long after the first ringing instead.
        headers: More header lines, such as ``Privacy: id``.

    """

    def __init__(
        self,
        asterisk: Asterisk,
        did: str,
        *,
        number: str,
        name: str = HOSTILE_NAME,
        talk_seconds: float = 1.0,
        cancel_after: float | None = None,
        headers: tuple[str, ...] = (),
    ) -> None:
        if shutil.which("sipp") is None:
            raise missing("SIPp", "sipp")
        self._asterisk = asterisk
        self._did = did
        self._sender = f"{quoted(name)} <sip:{number}@[local_ip]:[local_port]>"
        self._headers = "".join(f"{header}\n" for header in headers)
        self._talk = talk_seconds
        self._cancel_after = cancel_after
        self._directory = Path()
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp(prefix="santral-sipp-"))
        scenario = self._directory / "caller.xml"
        scenario.write_text(self._scenario(), encoding="utf-8")
        self._process = await asyncio.create_subprocess_exec(
            *("sipp", f"127.0.0.1:{self._asterisk.sip_port}", "-sf", str(scenario)),
            *("-s", self._did, "-m", "1", "-nostdin", "-i", "127.0.0.1", "-mi", "127.0.0.1"),
            *("-p", str(free_port(socket.SOCK_DGRAM)), "-timeout", "60s"),
            cwd=self._directory,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            await self._process.wait()
        remove_tree(self._directory)

    async def ended(self, seconds: float = 30) -> None:
        """Wait until the caller has played the whole scenario; raise `LabError` if not so."""
        assert self._process is not None
        _, errors = await asyncio.wait_for(self._process.communicate(), seconds)
        if self._process.returncode != 0:
            told = errors.decode(errors="replace").strip()
            raise LabError(f"SIPp ended with {self._process.returncode}: {told}")

    def _scenario(self) -> str:
        steps = [_send(_INVITE.format(sender=self._sender, headers=self._headers), retrans=True)]
        steps.append(_receive(100, optional=True))
        if self._cancel_after is None:
            steps += [
                _receive(180, optional=True),
                _receive(183, optional=True),
                _receive(200),
                self._request("ACK", 1),
                _pause(self._talk),
                self._request("BYE", 2, retrans=True),
                _receive(200),
            ]
        else:
            steps += [
                _receive(180),
                _pause(self._cancel_after),
                self._request("CANCEL", 1, branch="-4", to_tag="", retrans=True),
                _receive(200),
                _receive(487),
                self._request("ACK", 1, branch="-7"),
            ]
        body = "\n".join(steps)
        heading = '<?xml version="1.0" encoding="utf-8"?>\n<scenario name="caller">'
        return f"{heading}\n{body}\n</scenario>\n"

    def _request(
        self,
        method: str,
        sequence: int,
        *,
        branch: str = "",
        to_tag: str = "[peer_tag_param]",
        retrans: bool = False,
    ) -> str:
        text = _REQUEST.format(
            method=method, sequence=sequence, branch=branch, to_tag=to_tag, sender=self._sender
        )
        return _send(text, retrans=retrans)


def _send(message: str, *, retrans: bool = False) -> str:
    attribute = ' retrans="500"' if retrans else ""
    return f"<send{attribute}><![CDATA[\n\n{message}\n]]></send>"


def _receive(code: int, *, optional: bool = False) -> str:
    attribute = ' optional="true"' if optional else ""
    return f"<recv response={quoteattr(str(code))}{attribute}/>"


def _pause(seconds: float) -> str:
    return f'<pause milliseconds="{int(seconds * 1000)}"/>'
