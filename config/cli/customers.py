"""`santral import` and `santral match`: bringing customers, and finding them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from config.cli.invocation import (
    CONFIG_OPTION,
    JSON_OPTION,
    open_database,
    print_json,
    run,
    settings_of,
)

if TYPE_CHECKING:
    from config.settings import Settings
    from crm_core.model import Match, Party


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
    click.echo(f"{found.party or party}: {found.result}")
    for candidate in found.candidates:
        parts = (candidate.name, candidate.account, candidate.external_id)
        click.echo("  " + ", ".join(part for part in parts if part))
    for reason in found.reasons:
        click.echo(f"  because: {reason}")


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
