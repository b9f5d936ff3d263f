"""Any octets become a mail as far as they can be read, in time that grows with their size only."""

from __future__ import annotations

import email
import email.policy
import hashlib
import json
import random
import time
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail.charsets import codec, decode, decode_words, from_base64
from mail.html import html_to_text
from mail.mime import body, parameters, structure
from mail.model import Mailbox, MailKind, ParseState
from mail.parse import addresses, describe, headers_only, parse, raw_only, split_addresses


def test_a_simple_mail() -> None:
    mail = parse(
        b"From: =?UTF-8?Q?Ay=C5=9Fe_Y=C4=B1lmaz?= <Ayse@Customer.Example>\r\n"
        b"To: Support <support@santral.example>, other@santral.example\r\n"
        b"Cc: x@y.example\r\nReply-To: reply@customer.example\r\n"
        b"Subject: =?utf-8?b?xZ9pa8OieWV0?=\r\n"
        b"Date: Mon, 02 Mar 2026 10:00:00 +0300\r\n"
        b"Message-ID: <abc@customer.example>\r\n"
        b"In-Reply-To: <q1@santral.example>\r\n"
        b"References: <q0@santral.example>\r\n <q1@santral.example>\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n"
        b"\r\nMerhaba, =C5=9Fik=C3=A2yetim var.\r\n"
    )
    assert mail.parse_state is ParseState.OK
    assert mail.sender == Mailbox(address="ayse@customer.example", name="Ayşe Yılmaz")
    assert [box.address for box in mail.to] == ["support@santral.example", "other@santral.example"]
    assert mail.subject == "şikâyet"
    assert mail.text == "Merhaba, şikâyetim var."
    assert mail.message_id == "abc@customer.example"
    assert mail.in_reply_to == "q1@santral.example"
    assert mail.references == ("q0@santral.example", "q1@santral.example")
    assert mail.sent_at is not None
    assert mail.sent_at.isoformat() == "2026-03-02T07:00:00+00:00"
    assert mail.classification.kind is MailKind.PERSONAL
    assert mail.flags == ()


def test_parts_are_found_and_plain_text_is_preferred() -> None:
    message = EmailMessage()
    message["From"] = "a@b.example"
    message.set_content("the plain text")
    message.add_alternative("<p>the <b>HTML</b></p>", subtype="html")
    message.add_attachment(b"%PDF" * 10, maintype="application", subtype="pdf", filename="Şema.pdf")
    mail = parse(message.as_bytes(policy=email.policy.SMTP))
    assert (mail.text, mail.text_from) == ("the plain text", "text/plain")
    assert [part.content_type for part in mail.parts] == [
        *("text/plain", "text/html", "application/pdf")
    ]
    pdf = mail.parts[2]
    assert (pdf.filename, pdf.size, pdf.disposition) == ("Şema.pdf", 40, "attachment")
    assert pdf.sha256 == hashlib.sha256(b"%PDF" * 10).hexdigest()


def test_html_alone_becomes_text() -> None:
    message = EmailMessage()
    message.set_content("<style>p{}</style><p>Dear&nbsp;all,<br>1 &lt; 2</p>", subtype="html")
    mail = parse(message.as_bytes())
    assert (mail.text, mail.text_from) == ("Dear all,\n1 < 2", "text/html")


# Charsets


@pytest.mark.parametrize(
    ("label", "encoding", "text"),
    [
        ("windows-1254", "cp1254", "Şükrü İğne çöz"),
        ("ISO-8859-9", "iso8859-9", "Şükrü İğne çöz"),
        ("koi8-r", "koi8-r", "Здравствуйте"),
        ("windows-1251", "cp1251", "Здравствуйте"),
        ("utf-8", "utf-8", "Şükrü Ёлкин 🙂"),
        ("us-ascii", "utf-8", "claims ASCII, is UTF-8: ş"),
        ("iso-8859-1", "cp1252", "a “quoted” word"),
        ("gb2312", "gb18030", "你好"),
        ("iso-2022-jp", "iso2022_jp", "こんにちは"),
        ("UNKNOWN-8BIT", "utf-8", "ünbekannt"),
    ],
)
def test_charsets(label: str, encoding: str, text: str) -> None:
    raw = f"Subject: x\r\nContent-Type: text/plain; charset={label}\r\n\r\n".encode()
    assert parse(raw + text.encode(encoding)).text == text


@pytest.mark.parametrize(
    "label", ["undefined", "rot13", "punycode", "idna", "hex", "zip", "x" * 99]
)
def test_a_charset_is_never_the_name_of_other_code(label: str) -> None:
    assert codec(label) is None
    assert decode(b"text \xff", label) == ("text ÿ", False)
    assert parse(f"Content-Type: text/plain; charset={label}\r\n\r\nhi".encode()).text == "hi"


def test_a_wrong_charset_is_guessed_and_said() -> None:
    mail = parse(b"Content-Type: text/plain; charset=utf-8\r\n\r\n\xfe\xf0")
    assert mail.text == "þð"
    assert "charset_guessed" in mail.flags


def test_raw_8bit_headers_are_read_in_the_charset_of_the_text() -> None:
    subject = "Şikâyet".encode("cp1254")
    mail = parse(
        b"Subject: " + subject + b"\r\nContent-Type: text/plain; charset=windows-1254\r\n\r\nx"
    )
    assert mail.subject == "Şikâyet"
    assert parse("Subject: Ёлкин\r\n\r\n".encode()).subject == "Ёлкин"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?= x =?utf-8?q?b?= ", "a x b "),
        (b"Re: =?UTF-8?B?xZ8=?=", "Re: ş"),
        (b"=?utf-8?b?xQ==?= =?utf-8?b?nw==?=", "ş"),  # one letter split in two
        (b"=?iso-8859-9?q?=FE?= =?utf-8?q?=C5=9F?=", "şş"),
        (b"=?utf-8*tr?q?=C5=9F?=", "ş"),
        (b"=?utf-8?q?broken", "=?utf-8?q?broken"),
        (b"=?utf-8?x?no?=", "=?utf-8?x?no?="),
        (b"=?rot13?q?uryyb?=", "uryyb"),
        (b"=?utf-8?q?a_b=20c=zz?=", "a b c=zz"),
        (b'"=?utf-8?q?quoted?="', '"quoted"'),
        (b"pre=?utf-8?q?a?=post", "preapost"),
    ],
)
def test_encoded_words(raw: bytes, expected: str) -> None:
    assert decode_words(raw) == expected


@given(st.text(max_size=60), st.sampled_from(["utf-8", "utf-16"]))
def test_encoded_words_come_back(text: str, charset: str) -> None:
    from email.header import Header

    kept = "".join(c for c in text if c.isprintable() and not "\ud800" <= c <= "\udfff")
    kept = " ".join(kept.split())
    encoded = Header(kept, "utf-8").encode().encode() if charset == "utf-8" else kept.encode()
    assert decode_words(encoded).strip() == kept or "=?" in kept


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"aGk=", b"hi"),
        (b"aG\r\nk=", b"hi"),
        (b"aGk", b"hi"),
        (b"a G*k=", b"hi"),
        (b"aGkx", b"hi1"),
        (b"aGkxa", b"hi1"),
        (b"=", b""),
        (b"", b""),
    ],
)
def test_base64_of_any_kind(octets: bytes, expected: bytes) -> None:
    assert from_base64(octets) == expected


# Addresses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a@b.c", [("", "a@b.c")]),
        ("A B <a@b.c>, c@d.e", [("A B", "a@b.c"), ("", "c@d.e")]),
        ('"Doe, John" <j@d.e>', [("Doe, John", "j@d.e")]),
        ("a@b.c (Old Style)", [("Old Style", "a@b.c")]),
        ("friends: a@b.c, d@e.f; g@h.i", [("", "a@b.c"), ("", "d@e.f"), ("", "g@h.i")]),
        ("undisclosed-recipients:;", []),
        ('"a b"@c.d', [("", '"a b"@c.d')]),
        ("<>", [("", "<>")]),
        ("Two <a@b.c> <d@e.f>", [("Two", "a@b.c")]),
        ('"never ends <a@b.c>', [('"never ends', "a@b.c")]),
        ("(c):", []),
        ('"', [("", '"')]),
        ("", []),
    ],
)
def test_addresses(text: str, expected: list[tuple[str, str]]) -> None:
    assert split_addresses(text) == expected


def test_odd_senders_are_flagged() -> None:
    assert "several_from" in parse(b"From: a@b.example, c@d.example\r\n\r\n").flags
    assert "several_from" in parse(b"From: a@b.example\r\nFrom: c@d.example\r\n\r\n").flags
    assert "no_from" in parse(b"Subject: x\r\n\r\n").flags
    spoofed = parse(b'From: "boss@santral.example" <evil@else.example>\r\n\r\n')
    assert "name_is_another_address" in spoofed.flags
    assert spoofed.sender is not None
    assert spoofed.sender.address == "evil@else.example"
    honest = parse(b'From: "a@b.example" <a@b.example>\r\n\r\n')
    assert "name_is_another_address" not in honest.flags


def test_many_recipients_are_limited() -> None:
    value = b", ".join(b"user%d@b.example" % number for number in range(2000))
    mail = parse(b"To: " + value + b"\r\n\r\n")
    assert len(mail.to) == 1000
    assert addresses(structure(b"To: \r\n\r\n").root.fields, "to") == []


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"<[abc@microsoft.com]>", "[abc@microsoft.com]"),
        (b"no-brackets@x", "no-brackets@x"),
        (b"<a@b> (comment)", "a@b"),
        (b"", ""),
        (b"<" + b"x" * 5000 + b">", "x" * 997),
    ],
)
def test_message_ids(raw: bytes, expected: str) -> None:
    assert parse(b"Message-ID: " + raw + b"\r\n\r\n").message_id.startswith(expected)


def test_endless_references_keep_the_first_and_the_last() -> None:
    raw = b" ".join(b"<%d@x>" % number for number in range(5000))
    references = parse(b"References: " + raw + b"\r\n\r\n").references
    assert len(references) == 100
    assert (references[0], references[-1]) == ("0@x", "4999@x")


# Parameters and file names


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("; charset=utf-8", {"charset": "utf-8"}),
        ('; name="a;b.txt"; x=1', {"name": "a;b.txt", "x": "1"}),
        ("; name*=utf-8''%C5%9Fema.pdf", {"name": "şema.pdf"}),
        ("; name*0=a; name*1=b", {"name": "ab"}),
        ("; name*1=b; name*0=a; name*0=z", {"name": "ab"}),
        ("; name*0*=utf-8'tr'%C5; name*1*=%9F; name*2=x", {"name": "şx"}),
        ("; name*", {"name": ""}),
        ("; name*=", {"name": ""}),
        ("; name*=broken%zz", {"name": "broken%zz"}),
        ('; name="=?utf-8?b?xZ8=?="', {"name": "ş"}),
        ('; name="never ends', {"name": "never ends"}),
        ("; ;; =; x", {"x": ""}),
        ("; a=1; A=2", {"a": "1"}),
    ],
)
def test_parameters(value: str, expected: dict[str, str]) -> None:
    assert parameters(value) == expected


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("../../etc/passwd", "etc_passwd"),
        ("CON.txt", "_CON.txt"),
        ("invoice\u202efdp.exe", "invoice_fdp.exe"),
        ("a\x00b.txt", "ab.txt"),
        ("", "attachment-1.pdf"),
        ("...", "attachment-1.pdf"),
    ],
)
def test_file_names_are_safe(given_name: str, shown: str) -> None:
    from urllib.parse import quote

    raw = f"Content-Type: application/pdf; name*=utf-8''{quote(given_name)}\r\n"
    raw += "Content-Disposition: attachment\r\n\r\nx"
    [part] = parse(raw.encode()).parts
    assert part.filename == shown


def test_a_long_file_name_keeps_its_ends() -> None:
    name = "ş" * 300 + ".pdf"
    raw = b'Content-Disposition: attachment; filename="' + name.encode() + b'"\r\n\r\nx'
    [part] = parse(raw).parts
    assert len(part.filename.encode()) <= 200
    assert part.filename.endswith(".pdf")


# Structure


def nested(depth: int) -> bytes:
    out = b""
    for level in range(depth):
        out += b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level)
    out += b"\r\ninnermost\r\n"
    for level in reversed(range(depth)):
        out += b"--b%d--\r\n" % level
    return out


def test_nested_parts_to_a_depth() -> None:
    mail = parse(nested(20))
    assert (mail.text, mail.parse_state) == ("innermost", ParseState.OK)
    mail = parse(nested(2000))
    assert mail.parse_state is ParseState.PARTIAL
    assert "nested_deeply" in mail.flags


@pytest.mark.parametrize(
    ("raw", "texts", "flag"),
    [
        (b"--b\r\n\r\none\r\n--b\r\n\r\ntwo", ["one", "two"], "unclosed"),
        (b"preamble\r\n--b\r\n\r\none\r\n--b--\r\nepilogue", ["one"], None),
        (b"--b  \r\n\r\none\r\n--b--  ", ["one"], None),
        (b"--b\n\none\n--b--\n", ["one"], None),
        (b"--bx\r\n\r\nnot ours\r\n--b\r\n\r\none\r\n--b--", ["one"], None),
        (b"--b\r\nX: no blank line\r\n--b\r\n\r\none\r\n--b--", ["", "one"], None),
        (b"--b--\r\n", [], None),
        (b"", [], "unclosed"),
    ],
)
def test_boundaries(raw: bytes, texts: list[str], flag: str | None) -> None:
    head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    found = structure(head + raw)
    assert [body(head + raw, leaf).decode() for leaf in found.leaves] == texts
    assert found.flags == ({flag} if flag else set())


def test_an_inner_multipart_with_the_boundary_of_the_outer_one_ends_somewhere() -> None:
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\ninner\r\n--b--\r\n"
        b"--b\r\n\r\nouter\r\n--b--\r\n"
    )
    assert parse(raw).text == "inner\n\nouter"


def test_a_multipart_without_boundary_is_text() -> None:
    mail = parse(b"Content-Type: multipart/mixed\r\n\r\nhello")
    assert (mail.text, mail.parse_state) == ("hello", ParseState.PARTIAL)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_parts_are_those_the_standard_library_finds(seed: int) -> None:
    draw = random.Random(seed)

    def build(depth: int) -> EmailMessage:
        message = EmailMessage()
        if depth and draw.random() < 0.7:
            kind = draw.choice(["mixed", "alternative", "related"])
            message["Content-Type"] = f"multipart/{kind}"
            message.set_payload([build(depth - 1) for _ in range(draw.randint(1, 3))])
        else:
            text = "".join(draw.choice("ab -=ş\n.") for _ in range(draw.randint(0, 300)))
            message.set_content(text, cte=draw.choice(["base64", "quoted-printable"]))
        return message

    raw = build(3).as_bytes(policy=email.policy.SMTP)
    theirs = [
        part.get_payload(decode=True)
        for part in email.message_from_bytes(raw).walk()
        if not part.is_multipart()
    ]
    found = structure(raw)
    assert [body(raw, leaf) for leaf in found.leaves] == theirs
    assert found.flags == set()


# Hostile


HOSTILE = {
    "nothing": b"",
    "NULs": b"\x00" * 1000,
    "name*": b"Content-Type: text/plain; name*\r\n\r\nhello",
    "20000 encoded words": b"Subject: " + b"=?utf-8?q?a?= " * 20_000 + b"\r\n\r\nhello",
    "100000 headers": b"X-A: b\r\n" * 100_000 + b"\r\nhello",
    "10000 recipients": b"To: " + b"user@example.com, " * 10_000 + b"\r\n\r\nhello",
    "3000 parameters": b"Content-Type: text/plain" + b"; a=b" * 3000 + b"\r\n\r\nhello",
    "2000 sections": b"Content-Type: text/plain"
    + b"".join(b"; name*%d=x" % n for n in range(2000))
    + b"\r\n\r\nhello",
    "50000 parts": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + b"--b\r\n\r\nx\r\n" * 50_000,
    "nested comments": b"To: " + b"(" * 50_000 + b"\r\n\r\nhello",
    "nested multiparts": nested(3000),
    "nested mails": b"Content-Type: message/rfc822\r\n\r\n" * 3000,
    "an endless header": b"Subject: " + b"x" * 5_000_000,
    "dashes": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + b"--\r\n" * 500_000,
    "no newline": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b" * 500_000,
    "open brackets": b"References: " + b"<" * 60_000 + b"\r\n\r\n",
    "quotes": b"From: " + b'"\\' * 15_000 + b"\r\n\r\n",
    "spaces": b"From: a@b.example\r\n\r\n" + b" " * 3_000_000 + b"x",
    "HTML comments": b"Content-Type: text/html\r\n\r\n" + b"<!-- " * 300_000,
    "HTML tags": b"Content-Type: text/html\r\n\r\n" + b"<a " * 400_000,
    "HTML less than": b"Content-Type: text/html\r\n\r\n" + b"< " * 400_000 + b">",
    "HTML heads": b"Content-Type: text/html\r\n\r\n" + b"<head>" * 200_000,
    "HTML styles": b"Content-Type: text/html\r\n\r\n" + b"<style></style" * 100_000,
    "HTML numbers": b"Content-Type: text/html\r\n\r\n&#" + b"9" * 500_000 + b";",
    "base64": b"Content-Transfer-Encoding: base64\r\n\r\n" + b"=?" * 1_000_000,
    "quoted-printable": b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=" * 2_000_000,
    "dates": b"Date: " + b"Mon, " * 5000 + b"99 Foo 99999 99:99:99 +9999\r\n\r\n",
    "a date beyond time": b"Date: Mon, 01 Jan 0001 00:00:00 +1400\r\n\r\n",
    "surrogates": b"Subject: =?utf-16?b?2AA=?= =?utf-8?q?=ED=A0=80?=\r\n\r\nhello",
    "CRs": b"\r" * 100_000,
    "colons": b":\r\n" * 100_000,
    "percent": b"Content-Type: text/plain; name*=utf-8''" + b"%" * 30_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_mails_are_read_in_little_time(raw: bytes) -> None:
    began = time.process_time()
    mail = parse(raw)
    assert time.process_time() - began < 2
    assert mail.parse_state in (ParseState.OK, ParseState.PARTIAL)
    assert mail.content_key
    shown = json.dumps(describe(raw), ensure_ascii=False)
    assert "\\u0000" not in shown
    shown.encode()  # no lone surrogates
    headers_only(raw)


@given(st.binary(max_size=400))
def test_any_octets_are_read(raw: bytes) -> None:
    assert parse(raw).parse_state in (ParseState.OK, ParseState.PARTIAL)
    headers_only(raw)


@given(st.lists(st.sampled_from([*b'\r\n -=:;"<>()?*%a/', *b"--b\r\nContent-Type: x"])).map(bytes))
def test_octets_that_look_like_a_mail_are_read(raw: bytes) -> None:
    head = b"Content-Type: multipart/mixed; boundary=b\r\n"
    assert parse(head + raw).parse_state in (ParseState.OK, ParseState.PARTIAL)


# What copies share


MAIL = b"From: a@b.example\r\nDate: Mon, 02 Mar 2026 10:00:00 +0300\r\nSubject: x\r\n"


def key(raw: bytes) -> str:
    return parse(raw).content_key


def test_copies_share_a_key_and_other_mails_do_not() -> None:
    base = MAIL + b"Message-ID: <1@b>\r\n\r\nhello\r\n"
    assert key(b"Received: by somewhere\r\n" + base) == key(base)
    assert key(base.replace(b"\r\n", b"\n")) == key(base)
    assert key(base + b"  \r\n") == key(base)
    assert key(base.replace(b"+0300", b"+0200").replace(b"10:00", b"09:00")) == key(base)
    assert key(base.replace(b"hello", b"other")) != key(base)  # a Message-ID used twice
    assert key(base.replace(b"<1@b>", b"<2@b>")) != key(base)
    assert key(MAIL + b"\r\nhello") == key(b"X: y\r\n" + MAIL + b"\r\nhello")
    # Without anything that names a mail, only the same octets are the same mail.
    assert key(b"Subject: x\r\n\r\nhello") != key(b"Received: z\r\nSubject: x\r\n\r\nhello")


def test_how_far_it_came_is_said() -> None:
    raw = MAIL + b"\r\nhello"
    assert parse(raw, complete=False).parse_state is ParseState.TOO_LARGE
    assert headers_only(raw).parse_state is ParseState.HEADERS_ONLY
    assert headers_only(raw).subject == "x"
    assert raw_only(raw).parse_state is ParseState.RAW_ONLY


def test_the_description_is_json_with_its_promised_keys() -> None:
    raw = MAIL + b"\r\nhello"
    shown = describe(raw)
    assert shown["raw_sha256"] == hashlib.sha256(raw).hexdigest()
    assert shown["raw_size"] == len(raw)
    assert shown["text"] == "hello"
    assert shown["parse_state"] == "ok"
    assert shown["classification"] == {"kind": "personal", "reasons": []}
    assert {"headers", "parts"} <= shown.keys()
    json.dumps(shown)


# HTML


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>a</p><p>b</p>", "a\n\nb"),
        ("a<br>b<BR/>c", "a\nb\nc"),
        ("<ul><li>a<li>b</ul>", "a\nb"),
        ("<table><tr><td>a<td>b</table>", "a b"),
        ("<head><title>no</title></head>yes", "yes"),
        ("<script>alert('<p>')</script>yes", "yes"),
        ("<!-- no -->yes<!-- never ends", "yes"),
        ("1 < 2 &amp; 3 > 2", "1 < 2 & 3 > 2"),
        ("İ<style>İ</style>I", "İI"),
        ("a\n\n  b", "a b"),
        ("&#x15f;&nbsp;&bogus;", "ş &bogus;"),
        ("<p", ""),
        ("", ""),
    ],
)
def test_html(source: str, text: str) -> None:
    assert html_to_text(source) == text


# Kinds


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        (b"From: a@b.example", MailKind.PERSONAL),
        (b"Auto-Submitted: auto-replied", MailKind.AUTOMATIC),
        (b"Auto-Submitted: auto-generated; owner=x", MailKind.AUTOMATIC),
        (b"Auto-Submitted: no", MailKind.PERSONAL),
        (b"Auto-Submitted: NO (really)", MailKind.PERSONAL),
        (b"X-Auto-Response-Suppress: DR, OOF", MailKind.AUTOMATIC),
        (b"X-Auto-Response-Suppress: DR", MailKind.PERSONAL),
        (b"Precedence: auto_reply", MailKind.AUTOMATIC),
        (b"X-Autoreply: yes", MailKind.AUTOMATIC),
        (b"From: no-reply@shop.example", MailKind.AUTOMATIC),
        (b"From: noreply.orders@shop.example", MailKind.AUTOMATIC),
        (b"Return-Path: <>\r\nFrom: x@y.example", MailKind.AUTOMATIC),
        (b"Return-Path: <x@y.example>\r\nFrom: x@y.example", MailKind.PERSONAL),
        (b"Precedence: bulk", MailKind.LIST),
        (b"List-Id: <news.example>", MailKind.LIST),
        (b"List-Unsubscribe: <mailto:x@y.example>", MailKind.LIST),
        (
            b"Content-Type: multipart/report; report-type=delivery-status; boundary=b",
            MailKind.BOUNCE,
        ),
        (
            b"Content-Type: multipart/report; report-type=disposition-notification; boundary=b",
            MailKind.AUTOMATIC,
        ),
        (b"X-Failed-Recipients: x@y.example", MailKind.BOUNCE),
        (b"Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example", MailKind.BOUNCE),
    ],
)
def test_kinds(headers: bytes, kind: MailKind) -> None:
    found = parse(headers + b"\r\n\r\nhello").classification
    assert found.kind is kind
    assert bool(found.reasons) == (kind is not MailKind.PERSONAL)
