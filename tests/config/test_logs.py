"""Log lines say what happened, and neither who called nor any secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from config.logs import Format, configure_logs, escaped, redacted

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def log_to(format: Format = "json", **settings: Any) -> io.StringIO:  # noqa: A002
    stream = io.StringIO()
    logging.getLogger().handlers[:] = []  # pytest's own would format the lines too
    configure_logs(format=format, stream=stream, **settings)
    return stream


def only_line(stream: io.StringIO) -> dict[str, Any]:
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    line = json.loads(lines[0])
    assert isinstance(line, dict)
    return line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("+905321234567 rings", "<number …67> rings"),
        ("from 0532 123 45 67 to 1001", "from <number …67> to 1001"),
        ("(0212) 555-01-01", "<number …01>"),
        ("<sip:902125550101@10.0.0.1>", "<sip:<number …01>@10.0.0.1>"),
        ("ece@ornek.example wrote", "<address> wrote"),
        ('"Zoë" <zoe+x@mail.example.com>', '"Zoë" <<address>>'),
        ("ayşe@örnek.com.tr", "<address>"),
        # What an operator needs stays readable.
        (
            "call 1732480000.123 of 2026-11-24 21:14:00",
            "call 1732480000.123 of 2026-11-24 21:14:00",
        ),
        ("PJSIP/1001-0000002a rings", "PJSIP/1001-0000002a rings"),
        ("Local/1001@from-queue-00000012;1", "Local/1001@from-queue-00000012;1"),
        ("PJSIP/905321234567-0000002a rings", "PJSIP/<number …67>-0000002a rings"),
        ("10.0.12.13:5038 after 12.5 s", "10.0.12.13:5038 after 12.5 s"),
        ("queue 600, extension 1001, 54321", "queue 600, extension 1001, 54321"),
    ],
)
def test_numbers_and_addresses_are_masked(text: str, shown: str) -> None:
    assert redacted(text) == shown


@given(text=st.text(), number=st.from_regex(r"\+?[0-9]{7,15}", fullmatch=True))
def test_a_number_among_words_never_stays(text: str, number: str) -> None:
    assert number.lstrip("+") not in redacted(f"{text} {number} {text}")


@given(text=st.text())
def test_an_escaped_text_is_one_plain_line(text: str) -> None:
    line = escaped(text)
    assert len(line.splitlines()) <= 1
    assert "\x1b" not in line
    line.encode()


def test_our_own_lines_are_json_with_their_values() -> None:
    stream = log_to()
    structlog.get_logger("cti.service").info(
        "call_ringing", pbx="main", caller="+905321234567", legs=["PJSIP/1001-0000002a"], wait_s=1.5
    )
    line = only_line(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "call_ringing",
        "level": "info",
        "logger": "cti.service",
        "pbx": "main",
        "caller": "<number …67>",
        "legs": ["PJSIP/1001-0000002a"],
        "wait_s": 1.5,
    }


def test_lines_of_libraries_take_the_same_way() -> None:
    stream = log_to(secrets=["hunter22"])
    logging.getLogger("some.library").warning(
        "login of %s with %s failed", "ece@ornek.example", "hunter22"
    )
    assert only_line(stream)["event"] == "login of <address> with ******** failed"


def test_what_a_standard_logger_gives_beside_its_words_is_kept() -> None:
    stream = log_to()
    more = {"action": "sign_in_refused", "who": "ece@ornek.example"}
    logging.getLogger("agent_ui.auth").warning("refused", extra=more)
    line = only_line(stream)
    assert (line["action"], line["who"]) == ("sign_in_refused", "<address>")


def test_values_named_like_secrets_and_known_secrets_are_never_written() -> None:
    stream = log_to(redact=False, secrets=["hunter22", "x"])
    structlog.get_logger().warning(
        "headers hunter22 x", password="p4ss", deep={"Cookie": "c00kie", "a": ("hunter22",)}
    )
    text = stream.getvalue()
    assert "hunter22" not in text
    assert "p4ss" not in text
    assert "c00kie" not in text
    assert "headers ******** x" in text, "what is too short to be a secret is left alone"


def test_redaction_can_be_turned_off() -> None:
    stream = log_to(redact=False)
    structlog.get_logger().info("rings", caller="+905321234567")
    assert only_line(stream)["caller"] == "+905321234567"


def test_a_caller_cannot_forge_a_line_on_a_terminal() -> None:
    stream = log_to("console")
    name = "x\n2026-11-24T00:00:00Z [info] all is well\x1b[2J\u202e"
    structlog.get_logger().info("call_ringing", name=name)
    logging.getLogger("library").warning("odd name %s", name)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert all(r"x\n2026" in line or r"x\\n2026" in line for line in lines)
    assert "\x1b[2J" not in stream.getvalue()


@pytest.mark.parametrize("format", ["console", "json"])
def test_errors_come_with_their_traceback_cleaned_too(format: Format) -> None:  # noqa: A002
    stream = log_to(format, secrets=["hunter22"])
    error = ValueError("no hunter22 for ece@ornek.example\n+905321234567\x1b[0m")
    try:
        raise error
    except ValueError:
        structlog.get_logger().exception("mail_failed")
        logging.getLogger("library").exception("also")
    text = stream.getvalue()
    assert text.count("Traceback (most recent call last)") == 2
    assert text.count("no ******** for <address>") == 2
    assert "5321234567" not in text
    assert "\x1b" not in text
    if format == "console":
        starts = [line for line in text.splitlines() if not line.startswith(" ")]
        assert len(starts) <= 4, "only the lines and the beginnings of their tracebacks"


def test_libraries_that_log_secrets_are_quiet_even_at_debug() -> None:
    stream = log_to(level="debug")
    logging.getLogger("aioimaplib.aioimaplib").debug("LOGIN user password")
    logging.getLogger("panoramisk.ami_protocol").info("Secret: x")
    logging.getLogger("our.own").debug("seen")
    assert only_line(stream)["event"] == "seen"


def test_levels_below_the_setting_are_left_out() -> None:
    stream = log_to(level="warning")
    structlog.get_logger().info("quiet")
    logging.getLogger("library").info("quiet")
    assert stream.getvalue() == ""


def test_a_value_whose_repr_fails_does_not_cost_the_line() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    stream = log_to()
    structlog.get_logger().info("seen", what=Broken())
    assert only_line(stream)["what"] == "<Broken>"


def test_a_huge_value_is_cut() -> None:
    stream = log_to()
    structlog.get_logger().info("seen", what="<" * 1_000_000)
    assert only_line(stream)["what"].endswith("<… (983616 more)")
