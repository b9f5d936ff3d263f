"""`santral import` and `santral match`: bringing customers, and finding them."""

from __future__ import annotations

import io
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from config.cli.invocation import (
    CONFIG_OPTION,
    JSON_OPTION,
    open_database,
    print_json,
    run,
    say,
    settings_of,
)

if TYPE_CHECKING:
    from config.settings import Settings
    from crm_core.imports import ImportReport
    from crm_core.model import Match, Party


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--dry-run", is_flag=True, help="Change nothing, only say what would happen.")
@JSON_OPTION
@CONFIG_OPTION
def import_customers(file: Path, dry_run: bool, as_json: bool, config_path: Path | None) -> None:
    """Create and update contacts from a CSV FILE (`-` is standard input).

    The first row names the columns, in English, Turkish or Russian. Rows that cannot be taken are
    listed with row, column and reason, and do not stop the others. Running it again changes
    nothing. Exits 1 if no row could be taken, 0 if some or all were.
    """
    from crm_core.imports import import_contacts  # noqa: PLC0415 - a command loads its own
    from crm_core.phone import PhoneRules  # noqa: PLC0415

    settings = settings_of(config_path)
    source = io.BytesIO(sys.stdin.buffer.read()) if str(file) == "-" else file.open("rb")

    async def bring() -> ImportReport:
        async with open_database(settings) as store:
            rules = PhoneRules(region=settings.region)
            return await import_contacts(store, source, rules=rules, dry_run=dry_run)

    with source:
        report = run(bring)
    if as_json:
        print_json(asdict(report))
    else:
        _show(report)
    if report.refused:
        more = "" if as_json else "; the reasons stand above, --json gives them for programs"
        click.echo(f"REFUSED: {report.refused} of {report.rows} rows{more}", err=True)
    if report.rows and report.refused == report.rows:
        click.get_current_context().exit(1)


def _show(report: ImportReport) -> None:
    for heading, meaning in report.columns.items():
        say(f"column {heading!r} is {meaning}")
    for heading in report.ignored:
        say(f"column {heading!r} is not used")
    for error in report.errors:
        where = f"row {error.row}" + (f", {error.column}" if error.column else "")
        say(f"{where}: {error.reason}" + ("" if error.refused else " (the row was taken)"))
    say(
        f"{report.rows} rows: {report.created} created, {report.updated} updated, "
        f"{report.unchanged} unchanged, {report.refused} refused"
        + (" (nothing was changed)" if report.dry_run else "")
    )


@click.command()
@click.argument("party")
@click.option("--did", default="", help="The number that was called: says by whose rules to read.")
@JSON_OPTION
@CONFIG_OPTION
def match(party: str, did: str, as_json: bool, config_path: Path | None) -> None:
    """Say who a NUMBER or ADDRESS would be, and why."""
    from crm_core.touches import match_party  # noqa: PLC0415 - a command loads its own

    settings = settings_of(config_path)
    far_end, own = _party(party, did, settings)

    async def find() -> Match:
        async with open_database(settings) as store, store.begin() as uow:
            found, _touches = await match_party(uow, far_end, own=own)
            return found

    found = run(find)
    if as_json:
        print_json(match_record(found))
        return
    say(f"{found.party or party}: {found.result}")
    for candidate in found.candidates:
        parts = (candidate.name, candidate.account, candidate.external_id)
        say("  " + ", ".join(part for part in parts if part))
    for reason in found.reasons:
        say(f"  because: {reason}")


def match_record(found: Match) -> dict[str, Any]:
    """A match as `santral match --json` prints it; scripts rely on its keys."""
    return {
        "result": found.result.value,
        "party": found.party,
        "candidates": [
            {
                "contact": candidate.contact,
                "name": candidate.name,
                "account": candidate.account,
                "external_id": candidate.external_id,
            }
            for candidate in found.candidates
        ],
        "reasons": list(found.reasons),
    }


def _party(text: str, did: str, settings: Settings) -> tuple[Party, frozenset[str]]:
    """The far end as a call or a mail would give it, and our own numbers and addresses."""
    from crm_core.address import mail_address, mail_party  # noqa: PLC0415
    from crm_core.phone import PhoneRules, normalise, own_numbers  # noqa: PLC0415

    if mail_address(text) is not None and not text.lower().startswith(("sip:", "sips:", "tel:")):
        own = frozenset(
            address.casefold() for box in settings.mailbox for address in box.own_addresses
        )
        return mail_party(text), own
    own = frozenset().union(
        *(own_numbers(pbx.own_numbers, pbx.phone_rules()) for pbx in settings.pbx)
    )
    rules = PhoneRules(region=settings.region)
    if settings.pbx:
        rules = settings.pbx[0].phone_rules()
    if did:
        for pbx in settings.pbx:
            if normalise(did, pbx.phone_rules()).address in own_numbers(
                pbx.own_numbers, pbx.phone_rules()
            ):
                rules = pbx.phone_rules()
                break
        else:
            # A number of ours that no PBX names still tells the country it is called in.
            rules = PhoneRules(region=normalise(did, rules).region or rules.region)
    return normalise(text, rules), own
