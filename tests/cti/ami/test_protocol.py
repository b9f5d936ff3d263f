"""One session: what panoramisk 1.4 gets wrong, and this does not.

Each test is named by the behaviour; docs/ami-notes.md, "panoramisk 1.4", says which defect each
of them holds off (P1 to P12).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from panoramisk import Manager

from cti.ami.orders import (
    BlindTransfer,
    CoreShowChannels,
    HangUp,
    Order,
    Originate,
    Ping,
    QueuePause,
    QueueStatus,
)
from cti.ami.protocol import AmiConnection, tls_context
from cti.errors import ActionFailed, ActionRefused, LoginRefused, PeerUnavailable
from tests.cti.ami.settings import SECRET
from tests.servers.ami import AmiServer, Session, event, message

PAUSE = QueuePause(interface="PJSIP/1001", paused=True)
HANGUP = HangUp(channel="PJSIP/1001-0000002a")
ORIGINATE = Originate(endpoint="PJSIP/1001", number="1", context="x", channel_id="santral-1")


class Pair:
    """Both ends of a session."""

    def __init__(self, connection: AmiConnection, pbx: Session, server: AmiServer) -> None:
        self.connection = connection
        self.pbx = pbx
        self.server = server
        self.heard: list[bytes] = []
        self.numbers: list[int] = []
        self.came = asyncio.Event()

    def take(self, raw: bytes, number: int, received_ns: int) -> None:
        """Note an event."""
        assert received_ns > 0
        self.heard.append(raw)
        self.numbers.append(number)
        self.came.set()

    async def hears(self, count: int) -> list[bytes]:
        """Wait until this many events were heard."""
        async with asyncio.timeout(5):
            while len(self.heard) < count:
                self.came.clear()
                await self.came.wait()
        return self.heard


@asynccontextmanager
async def connected() -> AsyncIterator[Pair]:
    async with AmiServer() as server:
        pairs: list[Pair] = []
        connection = await AmiConnection.open(
            host="127.0.0.1",
            port=server.port,
            timeout_s=2,
            on_message=lambda *args: pairs[0].take(*args),  # noqa: PLW0108 - not there yet
        )
        pairs.append(Pair(connection, await server.accepted(), server))
        try:
            yield pairs[0]
        finally:
            await connection.aclose()


@asynccontextmanager
async def logged_in() -> AsyncIterator[Pair]:
    async with connected() as pair, asyncio.TaskGroup() as tasks:
        tasks.create_task(pair.pbx.accept_login())
        await pair.connection.log_in(user="cti", secret=SECRET, events=True, timeout_s=2)
        yield pair


async def test_it_is_panoramisk_that_connects() -> None:
    async with logged_in() as pair:
        assert isinstance(pair.connection, Manager)
        assert pair.connection.protocol is pair.connection.stream


# --- login ---


async def test_a_login_with_the_secret() -> None:
    async with logged_in() as pair:
        (login,) = pair.pbx.seen
        assert (login["Username"], login["Secret"], login["Events"]) == ("cti", SECRET, "on")


async def test_a_login_with_a_challenge_does_not_send_the_secret() -> None:
    async with connected() as pair, asyncio.TaskGroup() as tasks:
        login = tasks.create_task(
            pair.connection.log_in(user="cti", secret=SECRET, events=False, auth="md5", timeout_s=2)
        )
        challenge = await pair.pbx.expect("Challenge")
        assert challenge["AuthType"] == "MD5"
        pair.pbx.reply(challenge, "Success", Challenge="12345")
        sent = await pair.pbx.accept_login()
        assert sent["Key"] == hashlib.md5(f"12345{SECRET}".encode()).hexdigest()  # noqa: S324 - AMI knows no other
        assert "Secret" not in sent
        await login


async def test_a_refused_login_is_an_error() -> None:
    async with connected() as pair, asyncio.TaskGroup() as tasks:

        async def refuse() -> None:
            login = await pair.pbx.expect("Login")
            pair.pbx.reply(login, "Error", Message="Authentication failed")
            await pair.pbx.close()

        tasks.create_task(refuse())
        with pytest.raises(LoginRefused, match="Authentication failed"):
            await pair.connection.log_in(user="cti", secret="wrong", events=True, timeout_s=2)
    assert pair.server.connections == 1


async def test_a_user_who_is_still_logged_in_may_try_again() -> None:
    """After a half-open connection, where `allowmultiplelogin=no`."""
    async with connected() as pair, asyncio.TaskGroup() as tasks:

        async def refuse() -> None:
            login = await pair.pbx.expect("Login")
            pair.pbx.reply(login, "Error", Message="Login Already In Use")

        tasks.create_task(refuse())
        with pytest.raises(PeerUnavailable, match="Already In Use"):
            await pair.connection.log_in(user="cti", secret=SECRET, events=True, timeout_s=2)


async def test_a_login_that_is_not_answered_ends() -> None:
    async with connected() as pair:
        with pytest.raises(PeerUnavailable, match=r"within 0\.01 s"):
            await pair.connection.log_in(user="cti", secret=SECRET, events=True, timeout_s=0.01)


async def test_a_login_during_which_the_pbx_closes() -> None:
    async with connected() as pair, asyncio.TaskGroup() as tasks:
        tasks.create_task(pair.pbx.close())
        with pytest.raises(PeerUnavailable):
            await pair.connection.log_in(user="cti", secret=SECRET, events=True, timeout_s=2)


# --- connecting and closing ---


async def test_connect_to_nobody() -> None:
    async with AmiServer() as server:
        port = server.port
    with pytest.raises(PeerUnavailable):
        await AmiConnection.open(
            host="127.0.0.1", port=port, timeout_s=2, on_message=lambda *_: None
        )


async def test_connect_has_a_time_limit() -> None:
    """A peer that takes the connection and never says a word of TLS."""
    async with AmiServer(banner=b"") as server:
        with pytest.raises(PeerUnavailable, match="within"):
            await AmiConnection.open(
                host="127.0.0.1",
                port=server.port,
                tls=tls_context(ca_file=None, verify=False),
                timeout_s=0.05,
                on_message=lambda *_: None,
            )


async def test_a_cancelled_connect_leaves_nothing_open() -> None:
    async with AmiServer(banner=b"") as server:
        attempt = asyncio.ensure_future(  # noqa: TID251 - cancelled below
            AmiConnection.open(
                host="127.0.0.1",
                port=server.port,
                tls=tls_context(ca_file=None, verify=False),
                timeout_s=5,
                on_message=lambda *_: None,
            )
        )
        pbx = await server.accepted()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        await pbx.ended()


async def test_close_closes_and_nothing_connects_again() -> None:
    async with logged_in() as pair:
        await pair.connection.aclose()
        await pair.connection.aclose()
        assert await pair.pbx.ended() == b""
        assert pair.connection.stream.lost.result() == "closed by us"
        with pytest.raises(PeerUnavailable):
            await pair.connection.order(Ping())
    assert pair.server.connections == 1


async def test_close_of_panoramisk_itself_closes_too() -> None:
    async with logged_in() as pair:
        pair.connection.close()
        assert await pair.pbx.ended() == b""


async def test_a_reset_is_noticed() -> None:
    async with logged_in() as pair:
        pair.pbx.reset()
        async with asyncio.timeout(5):
            assert "reset" in (await pair.connection.stream.lost).lower()


async def test_panoramisk_s_own_ways_to_send_are_shut() -> None:
    async with logged_in() as pair:
        with pytest.raises(NotImplementedError):
            pair.connection.send_action({"Action": "Ping"})
        with pytest.raises(NotImplementedError):
            pair.connection.protocol.send({"Action": "Ping"})
        with pytest.raises(NotImplementedError):
            pair.connection.send_command("core show channels")


# --- events ---


async def test_events_come_in_the_order_in_which_they_were_sent() -> None:
    async with logged_in() as pair:
        for number in range(500):
            pair.pbx.event("Newchannel", Number=str(number))
        heard = await pair.hears(500)
        assert [int(raw.rpartition(b": ")[2]) for raw in heard] == list(range(500))
        assert pair.numbers == list(range(2, 502))  # the answer to the login was the first


async def test_a_letter_cut_in_two_by_tcp_stays_whole() -> None:
    async with logged_in() as pair:
        whole = event("Newchannel", CallerIDName="Müller")
        at = whole.index("ü".encode()) + 1
        pair.connection.stream.data_received(whole[:at])
        pair.connection.stream.data_received(whole[at:])
        (heard,) = await pair.hears(1)
        assert "Müller" in heard.decode()


async def test_a_reader_that_fails_does_not_end_the_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with logged_in() as pair:
        take, pair.take = pair.take, lambda *_: 1 / 0  # type: ignore[method-assign, assignment]
        pair.pbx.event("Newchannel", Name="secret caller")
        pair.pbx.event("Newchannel", Name="secret caller")
        async with asyncio.TaskGroup() as tasks:
            ping = tasks.create_task(pair.connection.order(Ping(), timeout_s=2))
            pair.pbx.reply(await pair.pbx.expect("Ping"), "Success")
            await ping
        assert pair.connection.stream.handler_errors == 2
        pair.take = take  # type: ignore[method-assign]
        pair.pbx.event("Hangup")
        await pair.hears(1)
    assert "secret caller" not in caplog.text


async def test_what_is_not_of_the_protocol_is_survived() -> None:
    async with logged_in() as pair:
        pair.pbx.send(b"\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n\xff\xfe\r\n\r\n")
        pair.pbx.event("Hangup")
        assert (await pair.hears(1))[-1] == b"Event: Hangup"


# --- orders ---

ACKS = [
    (ORIGINATE, "Originate successfully queued"),
    (BlindTransfer(channel="PJSIP/1-0000002a", number="1", context="x"), "Transfer successful"),
    (PAUSE, "Interface paused successfully"),
    (HANGUP, "Channel Hungup"),
    (PAUSE, "Added interface to queue"),  # panoramisk waits for a list after this text
    (PAUSE, "list will follow"),
    (Ping(), ""),
]


@pytest.mark.parametrize(("order", "text"), ACKS, ids=lambda v: getattr(v, "action", v))
async def test_acks_of_asterisk_answer_the_order_whatever_they_say(order: Order, text: str) -> None:
    async with logged_in() as pair, asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(pair.connection.order(order, timeout_s=2))
        pair.pbx.reply(await pair.pbx.expect(order.action), "Success", Message=text)
        assert (await answer).get("Message") == text


async def test_an_error_is_the_caller_s() -> None:
    async with logged_in() as pair, asyncio.TaskGroup() as tasks:

        async def refuse() -> None:
            order = await pair.pbx.expect("QueuePause")
            pair.pbx.reply(order, "Error", Message="Interface not found\x1b")

        tasks.create_task(refuse())
        with pytest.raises(ActionFailed, match=r"^QueuePause: Interface not found$"):
            await pair.connection.order(PAUSE, timeout_s=2)


async def test_an_error_that_names_no_order_ends_the_only_one() -> None:
    async with logged_in() as pair, asyncio.TaskGroup() as tasks:

        async def refuse() -> None:
            await pair.pbx.expect("QueuePause")
            pair.pbx.send(message({"Response": "Error", "Message": "Missing action in request"}))

        tasks.create_task(refuse())
        with pytest.raises(ActionFailed, match="Missing action"):
            await pair.connection.order(PAUSE, timeout_s=2)


async def test_a_refused_value_is_never_written() -> None:
    async with logged_in() as pair:
        bad = Originate(endpoint="PJSIP/1", number="1", context="x", channel_id="a")
        object.__setattr__(bad, "number", "1\r\nApplication: System")
        with pytest.raises(ActionRefused):
            await pair.connection.order(bad, timeout_s=2)
        await pair.connection.aclose()
        assert await pair.pbx.ended() == b""


async def test_orders_that_were_not_answered_fail_when_the_session_ends() -> None:
    async with logged_in() as pair, asyncio.TaskGroup() as tasks:
        orders = [tasks.create_task(attempt(pair.connection, order)) for order in (PAUSE, HANGUP)]
        listing = tasks.create_task(attempt(pair.connection, CoreShowChannels()))
        await pair.pbx.expect("QueuePause")
        await pair.pbx.expect("Hangup")
        lists = await pair.pbx.expect("CoreShowChannels")
        pair.pbx.reply(lists, "Success", EventList="start")
        await pair.pbx.close()
        for order in (*orders, listing):
            assert isinstance(await order, PeerUnavailable)


async def attempt(connection: AmiConnection, order: Order) -> Exception | None:
    try:
        await connection.order(order, timeout_s=2)
    except Exception as error:  # noqa: BLE001 - the test looks at it
        return error
    return None


async def test_a_late_answer_to_an_order_given_up_hurts_nobody() -> None:
    async with logged_in() as pair, asyncio.TaskGroup() as tasks:
        with pytest.raises(ActionFailed, match="no answer within"):
            await pair.connection.order(PAUSE, timeout_s=0.01)
        late = await pair.pbx.expect("QueuePause")
        answer = tasks.create_task(pair.connection.order(HANGUP, timeout_s=2))
        order = await pair.pbx.expect("Hangup")
        pair.pbx.reply(late, "Success", Message="late")
        pair.pbx.reply(order, "Success", Message="in time")
        assert (await answer).get("Message") == "in time"
        assert pair.connection.stream.stray_answers == 1
        assert not pair.connection.stream._orders


async def test_a_cancelled_order_is_forgotten() -> None:
    async with logged_in() as pair:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await pair.connection.order(PAUSE)
        assert not pair.connection.stream._orders


async def test_answers_may_come_in_another_order() -> None:
    async with logged_in() as pair, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(pair.connection.order(PAUSE, timeout_s=2))
        second = tasks.create_task(pair.connection.order(HANGUP, timeout_s=2))
        one = await pair.pbx.expect("QueuePause")
        two = await pair.pbx.expect("Hangup")
        pair.pbx.reply(two, "Success", Message="two")
        pair.pbx.reply(one, "Success", Message="one")
        assert (await first).get("Message") == "one"
        assert (await second).get("Message") == "two"


async def test_an_event_with_the_id_of_an_order_is_an_event() -> None:
    """OriginateResponse before the ack, and the echo of a UserEvent."""
    async with logged_in() as pair, asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(pair.connection.order(ORIGINATE, timeout_s=2))
        order = await pair.pbx.expect("Originate")
        pair.pbx.event("OriginateResponse", ActionID=order["ActionID"], Response="Failure")
        (heard,) = await pair.hears(1)
        assert heard.startswith(b"Event: OriginateResponse")
        assert not answer.done()
        pair.pbx.reply(order, "Success", Message="Originate successfully queued")
        await answer


# --- lists ---


async def test_list_items_go_to_who_asked_and_other_events_to_the_reader() -> None:
    async with logged_in() as pair, asyncio.TaskGroup() as tasks:
        items: list[bytes] = []
        done = tasks.create_task(
            pair.connection.list(CoreShowChannels(), lambda raw, *_: items.append(raw), timeout_s=2)
        )
        order = await pair.pbx.expect("CoreShowChannels")
        pair.pbx.reply(order, "Success", EventList="start", Message="will follow")
        pair.pbx.event("CoreShowChannel", ActionID=order["ActionID"], Channel="one")
        pair.pbx.event("DeviceStateChange", Device="PJSIP/1001")
        pair.pbx.event("AgentComplete", Queue="support")
        pair.pbx.event("CoreShowChannel", ActionID=order["ActionID"], Channel="two")
        assert not done.done()
        pair.pbx.event("CoreShowChannelsComplete", ActionID=order["ActionID"], EventList="Complete")
        await done
        assert [item.rpartition(b": ")[2] for item in items] == [b"one", b"two"]
        assert [raw.split(b"\r\n")[0] for raw in await pair.hears(2)] == [
            b"Event: DeviceStateChange",
            b"Event: AgentComplete",
        ]


@pytest.mark.parametrize("state", ["cancelled", "Cancelled"])
async def test_a_cancelled_list_is_an_error(state: str) -> None:
    async with logged_in() as pair, asyncio.TaskGroup() as tasks:

        async def cancel() -> None:
            order = await pair.pbx.expect("QueueStatus")
            pair.pbx.reply(order, "Success", EventList="start")
            pair.pbx.event("QueueStatusComplete", ActionID=order["ActionID"], EventList=state)

        tasks.create_task(cancel())
        with pytest.raises(ActionFailed, match="cancelled"):
            await pair.connection.list(QueueStatus(), lambda *_: None, timeout_s=2)


async def test_a_list_that_is_refused_is_an_error() -> None:
    async with logged_in() as pair, asyncio.TaskGroup() as tasks:

        async def refuse() -> None:
            order = await pair.pbx.expect("CoreShowChannels")
            pair.pbx.reply(order, "Error", Message="Permission denied")

        tasks.create_task(refuse())
        with pytest.raises(ActionFailed, match="Permission denied"):
            await pair.connection.list(CoreShowChannels(), lambda *_: None, timeout_s=2)


async def test_a_list_that_never_ends_is_given_up() -> None:
    async with logged_in() as pair:
        with pytest.raises(ActionFailed, match="no answer within"):
            await pair.connection.list(CoreShowChannels(), lambda *_: None, timeout_s=0.02)


async def test_a_long_list_is_read() -> None:
    async with logged_in() as pair, asyncio.TaskGroup() as tasks:
        items: list[int] = []
        done = tasks.create_task(
            pair.connection.list(
                CoreShowChannels(), lambda _, number, __: items.append(number), timeout_s=5
            )
        )
        await pair.pbx.answer_list(
            "CoreShowChannels", *[event("CoreShowChannel", Channel="x")] * 20_000
        )
        await done
        assert len(items) == 20_000


# --- TLS ---


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key."""
    import subprocess

    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


async def test_tls_with_a_certificate_that_is_trusted(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    async with AmiServer(tls=context) as server, asyncio.TaskGroup() as tasks:
        connection = await AmiConnection.open(
            host="127.0.0.1",
            port=server.port,
            tls=tls_context(ca_file=str(cert), verify=True),
            timeout_s=5,
            on_message=lambda *_: None,
        )
        pbx = await server.accepted()
        tasks.create_task(pbx.accept_login())
        await connection.log_in(user="cti", secret=SECRET, events=True, timeout_s=2)
        await connection.aclose()


async def test_tls_with_a_stranger_s_certificate_sends_no_secret(
    certificate: tuple[Path, Path],
) -> None:
    cert, key = certificate
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    async with AmiServer(tls=context) as server:
        with pytest.raises(PeerUnavailable, match="certificate"):
            await AmiConnection.open(
                host="127.0.0.1",
                port=server.port,
                tls=tls_context(ca_file=None, verify=True),
                timeout_s=5,
                on_message=lambda *_: None,
            )


# --- logs ---


async def test_no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with connected() as pair, asyncio.TaskGroup() as tasks:

        async def refuse() -> None:
            login = await pair.pbx.expect("Login")
            pair.pbx.reply(login, "Error", Message="Authentication failed")
            await pair.pbx.close()

        tasks.create_task(refuse())
        with pytest.raises(LoginRefused):
            await pair.connection.log_in(user="cti", secret=SECRET, events=True, timeout_s=2)
        pair.connection.log.info("Fail to send %r", {"Secret": SECRET, "Key": SECRET})
        pair.connection.log.info("Action: Login\r\nSecret: %s\r\nKey: %s\r\n", SECRET, SECRET)
        pair.connection.protocol.log.info("action <Message Secret='%s'>", SECRET)
    assert SECRET not in caplog.text
    assert "hidden" in caplog.text
