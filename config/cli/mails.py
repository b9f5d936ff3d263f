"""`santral mail`: what a mail says."""

from __future__ import annotations

from pathlib import Path

import click

from config.cli.invocation import JSON_OPTION, print_json, run, say


@click.group()
def mail() -> None:
    """Look into mails."""


@mail.command("parse")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@JSON_OPTION
def parse(file: Path, as_json: bool) -> None:
    """Show what the parser makes of a mail in FILE (`-` is standard input).

    It is read as the daemon reads it, in a process with limits, so no mail can do harm here.
    """
    from mail.limited import LimitedParser  # noqa: PLC0415 - a command loads what it needs
    from mail.model import ParsedMail  # noqa: PLC0415
    from mail.parse import as_json as mail_record  # noqa: PLC0415

    with click.open_file(str(file), "rb") as stream:
        raw = stream.read()

    async def read() -> ParsedMail:
        async with LimitedParser() as parser:
            return await parser.parse(raw)

    parsed = run(read)
    if as_json:
        print_json(mail_record(raw, parsed))
        return
    kind = parsed.classification
    sender = parsed.sender
    say(f"From: {f'{sender.name} <{sender.address}>' if sender else ''}")
    say(f"Subject: {parsed.subject}")
    say(f"Kind: {kind.kind}" + (f" ({'; '.join(kind.reasons)})" if kind.reasons else ""))
    say(f"Read: {parsed.parse_state} {' '.join(parsed.flags)}")
    say(f"\n{parsed.text}")
