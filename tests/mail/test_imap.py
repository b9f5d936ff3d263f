"""The IMAP session holds against every way in which a server, or aioimaplib, breaks.

The numbers A1 to A29 are the rows of the table in docs/email-notes.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, date, datetime, timedelta

import pytest

from mail.errors import CommandRefused, LoginRefused, ProtocolSurprise, ServerUnavailable
from mail.imap import PAGE, PART, ImapSession
from tests.servers.imap import Peer, ScriptedImap, fetch_answer

SOON = 0.3
"""Seconds a session waits for an answer where the server gives none."""
DEADLINE = 5


def mail(number: int, size: int = 0) -> bytes:
    return b"Subject: mail %d\r\n\r\n" % number + b"x" * size


def session(
    server: ScriptedImap, answer_s: float = DEADLINE
) -> AbstractAsyncContextManager[ImapSession]:
    return ImapSession.open("127.0.0.1", server.port, tls=None, answer_s=answer_s)


async def logged_in(opened: ImapSession, server: ScriptedImap) -> ImapSession:
    await opened.login(server.user, server.password)
    await opened.select(b"INBOX")
    return opened


async def closed(server: ScriptedImap) -> None:
    """Wait until the server has no client left."""
    await server.until(lambda: not server.connections, seconds=DEADLINE)


async def trying(
    server: ScriptedImap,
    steps: Callable[[ImapSession], Awaitable[object]],
    answer_s: float = DEADLINE,
) -> None:
    """Open a session, log in and do the steps."""
    async with session(server, answer_s) as client:
        await logged_in(client, server)
        await steps(client)


async def test_a_mail_is_read_and_nothing_is_marked() -> None:
    async with ScriptedImap() as server:
        at = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
        server.put(mail(1), at=at)
        async with session(server) as client:
            await client.login(server.user, server.password)
            folder = await client.select(b"INBOX")
            assert (folder.uidvalidity, folder.uidnext, folder.exists) == (1000, 2, 1)
            assert await client.uids_above(0) == [1]
            fetched = await client.fetch(1, limit=10_000)
        assert fetched is not None
        assert (fetched.raw, fetched.complete) == (mail(1), True)
        assert (fetched.head.uid, fetched.head.size) == (1, len(mail(1)))
        assert fetched.head.internal_date == at
        assert server.lines[-1].endswith("LOGOUT")
        await closed(server)
        for word in ("STORE", "EXPUNGE", "CLOSE", r"\Seen", "RFC822)", "BODY["):
            assert not any(word in line.replace("BODY.PEEK[", "") for line in server.lines)


async def test_the_last_mail_is_not_new_again() -> None:
    """`UID SEARCH UID 2:*` names mail 1 when there is no mail 2."""
    async with ScriptedImap() as server, session(server) as client:
        server.put(mail(1))
        await logged_in(client, server)
        assert await client.uids_above(1) == []


async def test_a_folder_and_a_mail_that_are_not_there() -> None:
    async with ScriptedImap() as server, session(server) as client:
        await client.login(server.user, server.password)
        with pytest.raises(CommandRefused) as refused:
            await client.select(b"Nowhere")
        assert refused.value.code == "NONEXISTENT"
        await client.select(b"INBOX")
        assert await client.fetch(9, limit=100) is None
        assert await client.heads([9]) == []


async def test_mails_of_the_last_days_are_found() -> None:
    async with ScriptedImap() as server, session(server) as client:
        server.put(mail(1), at=datetime(2026, 2, 1, tzinfo=UTC))
        server.put(mail(2), at=datetime(2026, 2, 9, tzinfo=UTC))
        await logged_in(client, server)
        assert await client.uids_since(date(2026, 2, 8)) == [2]


# A1, A2, A13: size


async def test_a_thousand_answers_in_one_piece() -> None:
    """A1, A2: aioimaplib recurses for each line and then waits for ever."""
    async with ScriptedImap() as server, session(server) as client:
        for number in range(1, 3001):
            server.put(mail(number))
        await logged_in(client, server)

        async def at_once(peer: Peer, tag: str, rest: str) -> bool:
            assert peer.folder is not None
            everything = b"".join(
                fetch_answer(index, one, rest) for index, one in enumerate(peer.folder.mails, 1)
            )
            await peer.send_bytes(everything + f"{tag} OK done\r\n".encode())
            return True

        server.on("FETCH", at_once)
        heads = await client.heads([1])
        assert [head.uid for head in heads] == list(range(1, 3001))


async def test_heads_are_asked_for_in_pages() -> None:
    """A13: no command asks for more than 200 mails."""
    async with ScriptedImap() as server, session(server) as client:
        uids = [server.put(mail(number)) for number in range(450)]
        await logged_in(client, server)
        heads = await client.heads(uids)
        assert [head.uid for head in heads] == uids
        asked = [line for line in server.lines if "FETCH" in line]
        assert [line.count(",") + 1 for line in asked] == [PAGE, PAGE, 50]


@pytest.mark.parametrize("size", [PART - 50, PART, 3 * PART + 5, 3 * PART])
async def test_a_big_mail_comes_in_parts(size: int) -> None:
    """A15: a mail is never held as one literal."""
    async with ScriptedImap() as server, session(server) as client:
        raw = mail(1, size)[:size]
        server.put(raw)
        await logged_in(client, server)
        fetched = await client.fetch(1, limit=10 * PART)
        assert fetched is not None
        assert fetched.raw == raw
        assert fetched.complete


async def test_a_mail_above_the_limit_is_cut_and_said_to_be() -> None:
    async with ScriptedImap() as server, session(server) as client:
        server.put(mail(1, 3 * PART))
        await logged_in(client, server)
        fetched = await client.fetch(1, limit=PART)
        assert fetched is not None
        assert (len(fetched.raw), fetched.complete) == (PART, False)
        assert fetched.head.size > 3 * PART
        await client.noop()


@pytest.mark.parametrize(
    "hostile",
    [
        b"* 1 FETCH (UID 1 BODY[]<0> {1073741824}\r\n",  # A14: a gigabyte announced
        b"* 1 FETCH (UID 1 " + b"x" * (5 * 1024 * 1024),  # A14: an endless line
        b"* 1 FETCH (UID 1 " + b"(" * 100_000 + b"\r\nTAG OK done\r\n",
        b"* 1 FETCH (UID 1 BODY[]<0> NIL)\r\nTAG OK done\r\n",
        b"* 1 FETCH (UID 1 BODY[]<0>)\r\nTAG OK done\r\n",
        b'* 1 FETCH (UID 1 BODY[]<0> "no end)\r\nTAG OK done\r\n',
        b"* 1 FETCH (UID NIL BODY[]<0> {1}\r\nx)\r\nTAG OK done\r\n",
        b"* 1 FETCH (UID 1 RFC822.SIZE 5 BODY[]<0> {0}\r\n)\r\nTAG OK done\r\n",
        b"nonsense\r\n",
        b"\xff\xfe\xfd\r\n",
        b"XX99 OK somebody else's answer\r\n",  # A6: an answer nobody waits for
        b"+ go on\r\n+ go on\r\nXX OK\r\n",
        (b"* 1 FETCH (X {1000000}\r\n" + b"x" * 1_000_000 + b")\r\n") * 40,
    ],
)
async def test_hostile_answers_are_surprises(hostile: bytes) -> None:
    async with ScriptedImap() as server:
        server.put(mail(1))

        async def answer(peer: Peer, tag: str, _: str) -> bool:
            await peer.send_bytes(hostile.replace(b"TAG", tag.encode()))
            await peer.silence()
            return True

        server.on("FETCH", answer)
        with pytest.raises(ProtocolSurprise):
            await trying(server, lambda client: client.fetch(1, limit=100_000))
        await closed(server)


async def test_a_body_under_another_uid_is_not_taken() -> None:
    async with ScriptedImap() as server, session(server) as client:
        server.put(mail(1))
        server.put(mail(2))

        async def mixed(peer: Peer, tag: str, rest: str) -> bool:
            assert peer.folder is not None
            one, two = peer.folder.mails
            await peer.send(r"* 2 FETCH (FLAGS (\Seen))")  # another client read something
            await peer.send_bytes(fetch_answer(2, two, rest) + fetch_answer(1, one, rest))
            await peer.send("* 3 EXISTS", "* 1 EXPUNGE", f"{tag} OK done")
            return True

        server.on("FETCH", mixed)
        await logged_in(client, server)
        fetched = await client.fetch(1, limit=1000)
        assert fetched is not None
        assert fetched.raw == mail(1)


async def test_uid_may_come_after_the_body_and_the_body_whole() -> None:
    async with ScriptedImap() as server, session(server) as client:
        raw = b"Subject: ))((\r\n\r\n* 5 EXISTS\r\nT1 OK\r\n"

        async def other_order(peer: Peer, tag: str, _: str) -> bool:
            await peer.send_bytes(b"* 1 fetch (body[] {%d}\r\n%s UID 1)\r\n" % (len(raw), raw))
            await peer.send(f"{tag} ok done")
            return True

        server.on("FETCH", other_order)
        await logged_in(client, server)
        fetched = await client.fetch(1, limit=1000)
        assert fetched is not None
        assert fetched.raw == raw


@pytest.mark.parametrize("step", [1, 5])
async def test_an_answer_in_tiny_pieces(step: int) -> None:
    async with ScriptedImap() as server, session(server) as client:
        server.put(mail(1))

        async def slowly(peer: Peer, tag: str, rest: str) -> bool:
            assert peer.folder is not None
            octets = fetch_answer(1, peer.folder.mails[0], rest) + f"{tag} OK done\r\n".encode()
            for at in range(0, len(octets), step):
                await peer.send_bytes(octets[at : at + step])
                await asyncio.sleep(0)
            return True

        server.on("FETCH", slowly)
        await logged_in(client, server)
        fetched = await client.fetch(1, limit=1000)
        assert fetched is not None
        assert fetched.raw == mail(1)


# A3 to A8: losing the server


COMMANDS = ["CAPABILITY", "AUTHENTICATE", "SELECT", "SEARCH", "FETCH", "NOOP", "IDLE", "LIST"]


async def everything(client: ImapSession, server: ScriptedImap) -> None:
    await client.login(server.user, server.password)
    await client.folders()
    await client.select(b"INBOX")
    await client.uids_above(0)
    await client.fetch(1, limit=1000)
    await client.noop()
    await client.idle(60)


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_server_that_hangs_up_is_noticed_at_once(command: str) -> None:
    """A3, A4: in any command, also where IDLE waits or should begin."""
    async with ScriptedImap() as server:

        async def hang_up(peer: Peer, _tag: str, _rest: str) -> bool:
            peer.hang_up()
            return True

        server.on(command, hang_up)
        async with asyncio.timeout(DEADLINE):
            with pytest.raises(ServerUnavailable):
                async with session(server, answer_s=60) as client:
                    await everything(client, server)
        await closed(server)


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_server_that_says_bye_is_quoted(command: str) -> None:
    async with ScriptedImap() as server:

        async def bye(peer: Peer, _tag: str, _rest: str) -> bool:
            await peer.send("* BYE shutting down for maintenance")
            peer.writer.close()
            return True

        server.on(command, bye)
        with pytest.raises(ServerUnavailable, match="maintenance"):
            async with session(server, answer_s=60) as client:
                await everything(client, server)


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_silent_server_is_given_up(command: str) -> None:
    """A2, A5, A6: after a missed answer the connection is gone, so a late one meets nobody."""
    async with ScriptedImap() as server:

        async def silence(peer: Peer, _tag: str, _rest: str) -> bool:
            await peer.silence()
            return True

        server.on(command, silence)
        with pytest.raises(ServerUnavailable):
            async with session(server, answer_s=SOON) as client:
                await everything(client, server)
        await closed(server)


async def test_a_server_that_dies_while_idle_waits_is_noticed_at_once() -> None:
    async with ScriptedImap() as server:
        with pytest.raises(ServerUnavailable):
            await asyncio.wait_for(trying(server, lambda client: die_in_idle(client, server)), 5)


async def die_in_idle(client: ImapSession, server: ScriptedImap) -> None:
    async def die() -> None:
        await idle_began(server)
        server.hang_up()

    await asyncio.gather(client.idle(60), die())


async def idle_began(server: ScriptedImap) -> None:
    await server.until(lambda: server.lines[-1].endswith("IDLE"))


async def test_a_server_that_falls_silent_in_idle_is_given_up_at_the_renewal() -> None:
    async with ScriptedImap() as server:

        async def black_hole(peer: Peer, _tag: str, _rest: str) -> bool:
            await peer.send("+ idling")
            await peer.silence()
            return True

        server.on("IDLE", black_hole)
        with pytest.raises(ServerUnavailable, match="IDLE"):
            await trying(server, lambda client: client.idle(0.05), answer_s=SOON)


@pytest.mark.parametrize("greeting", [b"* BYE too many connections", b"* BYE"])
async def test_a_greeting_that_says_bye_means_later(greeting: bytes) -> None:
    """A8: and not after a timeout."""
    async with ScriptedImap() as server:
        server.greeting = greeting
        with pytest.raises(ServerUnavailable) as refused:
            async with asyncio.timeout(DEADLINE), session(server, answer_s=60):
                pass
        assert refused.value.throttled
        await closed(server)


async def test_no_greeting_no_imap_and_nobody_there() -> None:
    async with ScriptedImap() as server:
        server.greeting = None
        with pytest.raises(ServerUnavailable, match="no greeting"):
            async with session(server, answer_s=SOON):
                pass
        server.greeting = b"220 mail.example ESMTP"
        with pytest.raises(ProtocolSurprise):
            async with session(server):
                pass
        port = server.port
        await closed(server)
    with pytest.raises(ServerUnavailable, match="cannot reach"):
        async with ImapSession.open("127.0.0.1", port, tls=None):
            pass


async def test_a_server_without_tls_is_refused_when_tls_is_asked() -> None:
    import ssl

    async with ScriptedImap() as server:
        with pytest.raises(ServerUnavailable):
            async with ImapSession.open(
                "127.0.0.1", server.port, tls=ssl.create_default_context(), answer_s=2
            ):
                pass


async def test_a_cancelled_command_ends_the_connection() -> None:
    """A5: aioimaplib keeps the command for ever, and every later one hangs."""
    async with ScriptedImap() as server:

        async def silence(peer: Peer, _tag: str, _rest: str) -> bool:
            await peer.silence()
            return True

        server.on("SEARCH", silence)
        async with session(server) as client:
            await logged_in(client, server)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await client.uids_above(0)
            with pytest.raises(ServerUnavailable):
                await client.noop()
        await closed(server)


async def test_two_commands_at_once_are_our_own_mistake() -> None:
    """A7: aioimaplib lets the second overwrite the first."""
    async with ScriptedImap() as server, session(server) as client:
        await logged_in(client, server)
        results = await asyncio.gather(client.noop(), client.noop(), return_exceptions=True)
        assert any(isinstance(result, RuntimeError) for result in results)


# A9, A25: hints


async def test_idle_is_woken_by_mail_by_us_and_by_time() -> None:
    async with ScriptedImap() as server, session(server) as client:
        await logged_in(client, server)
        assert await client.uids_above(0) == []
        assert client.can_idle
        assert await client.idle(0.01) is False
        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(client.idle(60))
            await idle_began(server)
            await server.deliver(mail(1))
        assert waiting.result() is True
        assert await client.uids_above(0) == [1]
        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(client.idle(60))
            await idle_began(server)
            client.wake()
        assert waiting.result() is False
        client.wake()  # nobody waits: nothing is kept for the next time
        assert await client.idle(0.01) is False


async def test_mail_announced_while_another_command_runs_is_not_forgotten() -> None:
    """A9: the server told us once, so IDLE would wait in vain."""
    async with ScriptedImap() as server, session(server, answer_s=2) as client:
        await logged_in(client, server)

        async def late(peer: Peer, tag: str, _rest: str) -> bool:
            server.put(mail(1))
            peer.told = 1
            await peer.send("* SEARCH", "* 1 EXISTS", f"{tag} OK done")
            return True

        server.on("SEARCH", late)
        assert await client.uids_above(0) == []
        server.usual("SEARCH")
        async with asyncio.timeout(DEADLINE):
            assert await client.idle(60) is True
        assert await client.uids_above(0) == [1]


async def test_still_here_is_no_mail() -> None:
    async with ScriptedImap() as server, session(server) as client:

        async def chatty(peer: Peer, tag: str, _rest: str) -> bool:
            await peer.send("+ idling", "* OK Still here", "* 0 RECENT", "* OK Still here")
            await peer.line()
            await peer.send(f"{tag} OK done")
            return True

        server.on("IDLE", chatty)
        await logged_in(client, server)
        assert await client.idle(0.05) is False


async def test_idle_refused_leaves_the_session_usable() -> None:
    async with ScriptedImap() as server, session(server) as client:

        async def refuse(peer: Peer, tag: str, _rest: str) -> bool:
            await peer.send(f"{tag} NO not today")
            return True

        server.on("IDLE", refuse)
        await logged_in(client, server)
        with pytest.raises(CommandRefused):
            await client.idle(60)
        await client.noop()


# A16 to A20: login


@pytest.mark.parametrize(
    ("capabilities", "password"),
    [
        ("IMAP4rev1 AUTH=PLAIN SASL-IR", "pass"),
        ("IMAP4rev1 AUTH=PLAIN", "pass"),
        ("imap4rev1 auth=plain idle", 'Şifre "1" \\ çok\r\ngizli'),
        ("IMAP4rev1", 'a "quoted\\ one'),
    ],
)
async def test_login(capabilities: str, password: str) -> None:
    async with ScriptedImap() as server, session(server) as client:
        server.capabilities = capabilities
        server.user, server.password = 'a user "x"', password
        await client._refresh_capabilities()
        await client.login(server.user, password)
        await client.select(b"INBOX")


async def test_a_wrong_password_is_refused_and_appears_nowhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with ScriptedImap() as server, session(server) as client:
        with pytest.raises(LoginRefused) as refused:
            await client.login(server.user, "wrong horse")
    assert "wrong user or password" in str(refused.value)
    assert "wrong horse" not in caplog.text + str(refused.value)


async def test_login_that_is_not_possible_now_is_tried_again() -> None:
    async with ScriptedImap() as server:

        async def later(peer: Peer, tag: str, _rest: str) -> bool:
            await peer.send(f"{tag} NO [UNAVAILABLE] the password database is away")
            return True

        server.on("AUTHENTICATE", later)
        with pytest.raises(ServerUnavailable) as refused:
            async with session(server) as client:
                await client.login(server.user, server.password)
        assert refused.value.throttled


async def test_a_second_question_in_plain_is_a_refusal() -> None:
    """A16: an unanswered challenge looks like a timeout."""
    async with ScriptedImap() as server, session(server) as client:

        async def asks_again(peer: Peer, tag: str, _rest: str) -> bool:
            await peer.send("+ eyJzdGF0dXMiOiI0MDEifQ==")
            assert await peer.line() == "*"
            await peer.send(f"{tag} BAD cancelled")
            return True

        server.on("AUTHENTICATE", asks_again)
        with pytest.raises(LoginRefused):
            await client.login(server.user, server.password)


async def test_no_way_to_log_in_is_said() -> None:
    async with ScriptedImap() as server:
        server.capabilities = "IMAP4rev1 LOGINDISABLED AUTH=GSSAPI"
        async with session(server) as client:
            with pytest.raises(LoginRefused, match="no way"):
                await client.login("a", "b")
        server.capabilities = "IMAP4rev1"
        for user, password in (("a\r\nb", "c"), ("ğ", "c")):
            async with session(server) as client:
                with pytest.raises(LoginRefused):
                    await client.login(user, password)
        assert server.logins == 0


async def test_capabilities_are_asked_again_after_login() -> None:
    """A19: what comes with LOGIN's answer is not taken."""
    async with ScriptedImap() as server, session(server) as client:
        assert "MOVE" not in client.capabilities
        server.capabilities = "IMAP4rev1 idle move"
        server.on("CAPABILITY", capability_in_pieces)
        await client.login(server.user, server.password)
        assert client.capabilities == {"IMAP4REV1", "IDLE", "MOVE"}


async def capability_in_pieces(peer: Peer, tag: str, _rest: str) -> bool:
    await peer.send(
        "* OK [ALERT] CAPABILITY is not here",
        "* CAPABILITY IMAP4rev1 idle",
        "* CAPABILITY move",
        f"{tag} OK",
    )
    return True


async def test_a_server_that_knows_us_already_needs_no_login() -> None:
    async with ScriptedImap() as server:
        server.greeting = b"* PREAUTH welcome back"
        async with session(server) as client:
            await client.login("nobody", "nothing")
            await client.select(b"INBOX")
        assert server.logins == 0


# A21: names of folders


@pytest.mark.parametrize(
    "name",
    [
        *(b"My Folder", b'say "hi"', b"back\\slash", b"{5}", b"M&APwBXw-teri", b"R&-D", b"a(b)%*"),
        *(b"&bad", b"Gel\xc3\xa9n", b"\xff\xfe raw"),
    ],
)
async def test_folders_of_any_name_are_listed_and_opened(name: bytes) -> None:
    async with ScriptedImap() as server, session(server) as client:
        server.put(mail(1), folder=name)
        await client.login(server.user, server.password)
        assert name in [folder.raw_name for folder in await client.folders()]
        assert (await client.select(name)).exists == 1


async def test_a_folder_name_cannot_carry_a_command() -> None:
    async with ScriptedImap() as server, session(server) as client:
        await client.login(server.user, server.password)
        before = list(server.lines)
        with pytest.raises(CommandRefused):
            await client.select(b"INBOX\r\nX DELETE INBOX")
        await client.noop()
        assert not any("DELETE" in line for line in server.lines)
        assert len(server.lines) == len(before) + 1


async def test_two_thousand_folders() -> None:
    async with ScriptedImap() as server, session(server) as client:
        for number in range(2000):
            server.put(mail(1), folder=b"Box %d" % number)
        await client.login(server.user, server.password)
        assert len(await client.folders()) == 2001


async def test_a_folder_without_uidvalidity_is_not_read() -> None:
    async with ScriptedImap() as server:

        async def vague(peer: Peer, tag: str, _rest: str) -> bool:
            await peer.send("* 5 EXISTS", f"{tag} OK [READ-WRITE] selected")
            return True

        server.on("SELECT", vague)
        with pytest.raises(ProtocolSurprise, match="UIDVALIDITY"):
            await trying(server, lambda client: client.noop())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"17-Jul-1996 02:44:25 -0700", datetime(1996, 7, 17, 9, 44, 25, tzinfo=UTC)),
        (b" 1-jan-2026 00:00:60 +0000", datetime(2026, 1, 1, 0, 0, 59, tzinfo=UTC)),
        (b"31-Feb-2026 00:00:00 +0000", None),
        (b"01-Jan-2026 00:00:00 +9999", None),
        (b"01-Xyz-2026 00:00:00 +0000", None),
        (b"01-Jan-0001 00:00:00 +0300", None),
        (b"yesterday", None),
    ],
)
def test_internal_dates(text: bytes, expected: datetime | None) -> None:
    from mail.imap import internal_date

    assert internal_date(text) == expected
    assert expected is None or expected.utcoffset() == timedelta(0)
