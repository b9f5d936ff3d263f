"""Log lines: structured, on one line each, without numbers, addresses and secrets.

Everything that is logged, by us and by libraries, passes the same chain: secrets are taken out,
phone numbers and mail addresses are masked (unless `log.redact = false`), and control characters
are escaped, so that no caller and no sender can forge a line or move the cursor of a terminal.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "console", "json"]

_QUIET = (
    "aiohttp",
    "aioimaplib",  # logs passwords at DEBUG
    "aiosmtplib",
    "aiosqlite",
    "alembic",
    "asyncio",
    "panoramisk",  # logs the login with its secret at DEBUG
    "sqlalchemy",
    "websockets",
)
_DEEPEST = 6
_LONGEST = 16_384
"""Characters of one value; a mail or a broken peer must not fill the disk."""

_SECRET_KEY = re.compile(r"(?:^|_)(?:secret|password|passwd|token|cookie|authorization|api_?key)$")
# Asterisk's uniqueids (epoch seconds and a counter), the endings of its channel names, dates and
# times look like numbers and are none.
_NUMBER = re.compile(
    r"(?P<kept>(?<!\d)(?:[12]\d{9}\.\d+|20\d\d-[01]\d-[0-3]\d(?:[T ]\d\d:\d\d(?::\d\d)?)?)(?!\d))"
    r"|(?P<number>(?:\+|(?<!\d))(?:\(?\d(?:[ \u00a0()\-]{0,2}\d){6,}|\d{6,}))",
)
_ADDRESS = re.compile(
    r"[^\s\"'<>()\[\],;:=@]{1,64}@(?:localhost\b|(?:[\w-]{1,63}\.){1,8}[\w-]{2,63})"
)
_CHANNEL = re.compile(r"\b([A-Za-z]{2,10}/)([^\s/]{1,80}?)(-[0-9a-f]{8}(?:;[12])?)(?![0-9A-Za-z])")
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def redacted(text: str) -> str:
    """The text with phone numbers as `<number …67>` and mail addresses as `<address>`.

    A number is six digits or more in a row, or seven or more with blanks, hyphens and brackets
    between them. Uniqueids and channel names stay readable.
    """
    if "@" in text:
        text = _ADDRESS.sub("<address>", text)
    parts = []
    last = 0
    for channel in _CHANNEL.finditer(text):
        parts += [_without_numbers(text[last : channel.start()])]
        parts += [channel[1], _without_numbers(channel[2]), channel[3]]
        last = channel.end()
    return "".join([*parts, _without_numbers(text[last:])])


def _without_numbers(text: str) -> str:
    return _NUMBER.sub(
        lambda found: f"<number …{found[0][-2:]}>" if found["number"] else found[0], text
    )


def escaped(text: str, *, keep: str = "") -> str:
    r"""The text on one line: control characters and those that turn the direction, as `\x1b`."""
    return _CONTROL.sub(
        lambda found: (
            found[0]
            if found[0] in keep
            else found[0].encode("unicode_escape", "surrogatepass").decode()
        ),
        text,
    )


class Cleaner:
    """A structlog processor that cleans every text of a line, however deep it lies."""

    def __init__(self, *, redact: bool, secrets: Iterable[str] = ()) -> None:
        self._redact = redact
        # Longest first: one secret may be the beginning of another.
        self._secrets = sorted({s for s in secrets if len(s) > 3}, key=len, reverse=True)

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Clean a line."""
        return {
            self.text(str(key)): "********"
            if isinstance(value, (str, bytes)) and _SECRET_KEY.search(str(key).lower())
            else self._exception(value)
            if key in ("exception", "stack") and isinstance(value, str)
            else self._value(value, 0)
            for key, value in event.items()
        }

    def text(self, text: str, *, keep: str = "") -> str:
        """Clean a text."""
        for secret in self._secrets:
            text = text.replace(secret, "********")
        more = f"… ({len(text) - _LONGEST} more)" if len(text) > _LONGEST else ""
        text = text[:_LONGEST]
        if self._redact:
            text = redacted(text)
        return escaped(text, keep=keep) + more

    def _exception(self, text: str) -> str:
        # Its lines stay lines, but none of them can pass for a line of the log.
        return self.text(text, keep="\n\t").replace("\n", "\n    ")

    def _value(self, value: object, depth: int) -> object:
        match value:
            case str():
                return self.text(value)
            case bool() | int() | float() | None:
                return value
            case Mapping() if depth < _DEEPEST:
                return {
                    self.text(str(key)): "********"
                    if _SECRET_KEY.search(str(key).lower())
                    else self._value(inner, depth + 1)
                    for key, inner in value.items()
                }
            case list() | tuple() | set() | frozenset() if depth < _DEEPEST:
                return [self._value(inner, depth + 1) for inner in value]
            case _:
                try:
                    return self.text(
                        str(value) if isinstance(value, BaseException) else repr(value)
                    )
                except Exception:  # noqa: BLE001 - a broken repr must not cost the line
                    return f"<{type(value).__name__}>"


def _main_things_first(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    first = ("timestamp", "level", "event", "logger")
    return {key: event[key] for key in first if key in event} | dict(event)


def configure_logs(
    *,
    level: Level = "info",
    format: Format = "auto",  # noqa: A002 - the setting's name
    redact: bool = True,
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Send all logging of the process through our chain to stderr (or `stream`).

    May be called again; the last call counts. `auto` is `console` on a terminal, else `json`.
    """
    target = sys.stderr if stream is None else stream
    console = format == "console" or (format == "auto" and target.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
    ]
    final: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        Cleaner(redact=redact, secrets=secrets),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if console:
        final.append(
            structlog.dev.ConsoleRenderer(
                colors=target.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        )
    else:
        final += [_main_things_first, structlog.processors.JSONRenderer(ensure_ascii=False)]
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()], processors=final
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        if getattr(old, "of_santral", False):
            root.removeHandler(old)
    handler.of_santral = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
