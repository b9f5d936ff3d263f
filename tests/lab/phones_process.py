"""The helper process behind `tests.lab.phones`: many SIP phones on one UDP port.

PJSUA2 allows one endpoint a process and wants to be driven from one thread, so the phones live
here and obey JSON lines on standard input::

    {"id": 1, "do": "register", "line": "1001", "password": "…"}

Each command is answered by ``{"reply": 1, …}`` or ``{"reply": 1, "error": "…"}``; what happens on
the phones is told as ``{"event": "incoming", "call": 3, "line": "1001", …}``. The end of standard
input ends the process.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Callable
from typing import Any

import pjsua2 as pj

_told = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # PJSIP's early log lines go to standard error, not between ours


def emit(**message: Any) -> None:
    """Tell the test's process something."""
    _told.write(json.dumps(message) + "\n")
    _told.flush()


def call_settings() -> Any:
    """Return the parameters of a request with PJSUA2's usual call settings."""
    return pj.CallOpParam(True)  # noqa: FBT003 - a C++ signature


class Line(pj.Account):  # type: ignore[misc]
    """A phone, or a number of the outside world, that can call and be called."""

    def __init__(self, phones: Phones, number: str, asterisk: str) -> None:
        super().__init__()
        self.phones = phones
        self.number = number
        self.asterisk = asterisk
        """Host and port of the PBX that it calls."""
        self.on_call = 180
        """SIP code that an incoming call gets at once; 0 for none."""

    def onRegState(self, prm: Any) -> None:  # noqa: N802 - PJSUA2's name
        """Tell that the registrar answered."""
        emit(
            event="registration",
            line=self.number,
            code=prm.code,
            active=bool(self.getInfo().regIsActive),
        )

    def onIncomingCall(self, prm: Any) -> None:  # noqa: N802 - PJSUA2's name
        """Ring (or whatever this line does on its own) and tell."""
        call = Call(self, prm.callId)
        self.phones.add(call)
        info = call.getInfo()
        emit(
            event="incoming",
            call=call.key,
            line=self.number,
            remote=info.remoteUri,
            to=info.localUri,
            message=prm.rdata.wholeMsg,
        )
        if self.on_call:
            parameters = pj.CallOpParam()
            parameters.statusCode = self.on_call
            call.answer(parameters)


class Call(pj.Call):  # type: ignore[misc]
    """One call of one line."""

    def __init__(self, line: Line, call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(line, call_id)
        self.line = line
        self.key = line.phones.next_key()

    def onCallState(self, _prm: Any) -> None:  # noqa: N802 - PJSUA2's name
        """Tell each new state; forget the call after its end."""
        info = self.getInfo()
        emit(
            event="state",
            call=self.key,
            line=self.line.number,
            state=info.stateText,
            code=info.lastStatusCode,
            reason=info.lastReason,
        )
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.line.phones.ended.append(self.key)

    def onCallMediaState(self, _prm: Any) -> None:  # noqa: N802 - PJSUA2's name
        """Tell whether sound flows or the call is on hold."""
        names = {
            pj.PJSUA_CALL_MEDIA_ACTIVE: "active",
            pj.PJSUA_CALL_MEDIA_LOCAL_HOLD: "held",
            pj.PJSUA_CALL_MEDIA_REMOTE_HOLD: "held_by_peer",
        }
        info = self.getInfo()  # kept by a name: its parts do not outlive it
        for media in info.media:
            if media.status in {pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD}:
                # Silence, but sent all the time: without it the end of a pressed key gets lost.
                quiet = self.line.phones.endpoint.audDevManager().getCaptureDevMedia()
                quiet.startTransmit(self.getAudioMedia(media.index))
            emit(
                event="media",
                call=self.key,
                line=self.line.number,
                media=names.get(media.status, "none"),
            )

    def onCallTransferStatus(self, prm: Any) -> None:  # noqa: N802 - PJSUA2's name
        """Tell how the transfer that this call asked for goes on."""
        emit(event="transfer", call=self.key, line=self.line.number, code=prm.statusCode)

    def onDtmfDigit(self, prm: Any) -> None:  # noqa: N802 - PJSUA2's name
        """Tell a key that the other side pressed."""
        emit(event="digit", call=self.key, line=self.line.number, digit=prm.digit)


class Phones:
    """The endpoint with its lines and calls, and the commands it obeys."""

    def __init__(self, port: int, asterisk_port: int, log: str) -> None:
        self.asterisk = f"127.0.0.1:{asterisk_port}"
        self.lines: dict[str, Line] = {}
        self.calls: dict[int, Call] = {}
        self.ended: list[int] = []
        self._last_key = 0
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.maxCalls = 30
        config.uaConfig.userAgent = "Lab phone"
        config.medConfig.noVad = True
        config.logConfig.consoleLevel = 0
        config.logConfig.level = 5 if log else 0
        config.logConfig.filename = log
        self.endpoint = pj.Endpoint()
        self.endpoint.libCreate()
        self.endpoint.libInit(config)
        self.endpoint.audDevManager().setNullDev()
        transport = pj.TransportConfig()
        transport.port = port
        transport.boundAddress = "127.0.0.1"
        self.endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        # Phones have a port of their own: chan_sip tells the trunk from them by it.
        transport.port = 0
        self.phone_port = self.endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        self.endpoint.libStart()

    def next_key(self) -> int:
        """Return a number for a new call."""
        self._last_key += 1
        return self._last_key

    def add(self, call: Call) -> None:
        """Keep a call until it ends."""
        self.calls[call.key] = call

    def register(self, line: str, password: str, on_call: int = 180, asterisk: str = "") -> None:
        """Register a phone (again), at another PBX than the usual one if so told."""
        asterisk = asterisk or self.asterisk
        if line in self.lines:
            self.lines[line].setRegistration(True)
            return
        config = self._account(line, "")
        config.idUri = f"sip:{line}@{asterisk}"
        config.regConfig.registrarUri = f"sip:{asterisk}"
        config.sipConfig.transportId = self.phone_port
        config.regConfig.registerOnAdd = True
        config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", line, 0, password))
        self._add_line(line, config, on_call, asterisk)

    def unregister(self, line: str) -> None:
        """Take a phone off the net."""
        self.lines[line].setRegistration(False)

    def outside(self, line: str, name: str, uri: str = "", on_call: int = 180) -> None:
        """Add a number of the outside world, reached and seen through the trunk."""
        config = self._account(line, name)
        if uri:
            config.idUri = uri
        if line in self.lines:
            self.lines[line].modify(config)
            self.lines[line].on_call = on_call
        else:
            self._add_line(line, config, on_call)

    def set_on_call(self, line: str, code: int) -> None:
        """Choose the SIP code that the next calls to this line get at once (0: none)."""
        self.lines[line].on_call = code

    def dial(self, line: str, number: str, headers: dict[str, str] | None = None) -> int:
        """Call a number through Asterisk."""
        call = Call(self.lines[line])
        self.add(call)
        parameters = call_settings()
        for name, value in (headers or {}).items():
            header = pj.SipHeader()
            header.hName = name
            header.hValue = value
            parameters.txOption.headers.append(header)
        call.makeCall(f"sip:{number}@{call.line.asterisk}", parameters)
        return call.key

    def answer(self, call: int, code: int = 200) -> None:
        """Answer with a SIP code: 200 takes the call, 180 rings, 486 is busy."""
        parameters = call_settings()
        parameters.statusCode = code
        self.calls[call].answer(parameters)

    def redirect(self, call: int, number: str) -> None:
        """Answer with 302: ask Asterisk to call another number instead."""
        parameters = call_settings()
        parameters.statusCode = 302
        header = pj.SipHeader()
        header.hName = "Contact"
        header.hValue = f"<sip:{number}@{self.calls[call].line.asterisk}>"
        parameters.txOption.headers.append(header)
        self.calls[call].answer(parameters)

    def hangup(self, call: int, code: int = 0) -> None:
        """End the call: CANCEL, BYE or a refusal, as its state demands."""
        if call in self.calls:
            parameters = pj.CallOpParam()
            parameters.statusCode = code
            self.calls[call].hangup(parameters)

    def hold(self, call: int) -> None:
        """Put the other side on hold."""
        self.calls[call].setHold(call_settings())

    def unhold(self, call: int) -> None:
        """Take the other side back."""
        parameters = call_settings()
        parameters.opt.flag = pj.PJSUA_CALL_UNHOLD
        self.calls[call].reinvite(parameters)

    def dtmf(self, call: int, digits: str) -> None:
        """Press keys during the call (RFC 4733)."""
        self.calls[call].dialDtmf(digits)

    def transfer(self, call: int, number: str) -> None:
        """Transfer blindly (REFER)."""
        self.calls[call].xfer(f"sip:{number}@{self.calls[call].line.asterisk}", call_settings())

    def attended(self, call: int, other: int) -> None:
        """Connect the other sides of two calls of ours (REFER with Replaces)."""
        self.calls[call].xferReplaces(self.calls[other], call_settings())

    def forget_ended(self) -> None:
        """Destroy the calls that ended since the last look."""
        while self.ended:
            self.calls.pop(self.ended.pop(), None)

    def close(self) -> None:
        """Hang up, unregister and end PJSUA2."""
        self.endpoint.hangupAllCalls()
        registered = [line for line in self.lines.values() if line.getInfo().regIsActive]
        for line in registered:
            line.setRegistration(False)
        deadline = time.monotonic() + 2
        while (
            any(line.getInfo().regIsActive for line in registered) or self.calls
        ) and time.monotonic() < deadline:
            self.endpoint.libHandleEvents(10)
            self.forget_ended()
        self.calls.clear()
        for line in self.lines.values():
            line.shutdown()
        self.endpoint.libDestroy(pj.PJSUA_DESTROY_NO_NETWORK)

    def _account(self, line: str, name: str) -> Any:
        config = pj.AccountConfig()
        config.idUri = f'"{name}" <sip:{line}@127.0.0.1>' if name else f"sip:{line}@127.0.0.1"
        config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_INACTIVE
        config.mwiConfig.enabled = False
        return config

    def _add_line(self, number: str, config: Any, on_call: int, asterisk: str = "") -> None:
        line = Line(self, number, asterisk or self.asterisk)
        line.on_call = on_call
        line.create(config)
        self.lines[number] = line


COMMANDS: dict[str, Callable[..., Any]] = {
    "register": Phones.register,
    "unregister": Phones.unregister,
    "outside": Phones.outside,
    "set_on_call": Phones.set_on_call,
    "dial": Phones.dial,
    "answer": Phones.answer,
    "redirect": Phones.redirect,
    "hangup": Phones.hangup,
    "hold": Phones.hold,
    "unhold": Phones.unhold,
    "dtmf": Phones.dtmf,
    "transfer": Phones.transfer,
    "attended": Phones.attended,
}


def obey(phones: Phones, text: bytes) -> None:
    """Carry out one command and answer it."""
    command = json.loads(text)
    number = command.pop("id")
    try:
        result = COMMANDS[command.pop("do")](phones, **command)
    except Exception as error:  # noqa: BLE001 - whatever it is, the test must see it
        told = error.info() if isinstance(error, pj.Error) else repr(error)
        emit(reply=number, error=told)
    else:
        emit(reply=number, result=result)


def main(port: int, asterisk_port: int, log: str) -> None:
    """Serve commands until standard input ends."""
    phones = Phones(port, asterisk_port, log)
    emit(event="ready")
    pending = b""
    try:
        while True:
            phones.endpoint.libHandleEvents(10)
            phones.forget_ended()
            if not select.select([0], [], [], 0)[0]:
                continue
            chunk = os.read(0, 65536)
            if not chunk:
                return
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                obey(phones, line)
    finally:
        phones.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "")
