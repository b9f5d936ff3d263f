"""`santral trace`: the events of one call, out of the flight recorder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from config.cli.calls import PBX_OPTION
from config.cli.invocation import CONFIG_OPTION, fail, settings_of

if TYPE_CHECKING:
    from cti.settings import PbxSettings


@click.command()
@click.argument("call")
@click.option("--raw", is_flag=True, help="As it was: with the numbers and names of people.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write. Without one: standard output.",
)
@PBX_OPTION
@CONFIG_OPTION
def trace(
    call: str, raw: bool, out: Path | None, pbx_name: str | None, config_path: Path | None
) -> None:
    """Export what the PBX said of one call, for `santral replay`.

    CALL is the id of a call, the uniqueid of one of its channels or a linkedid. The daemon keeps
    what PBXs say for some days (pbx.recorder in the settings). Numbers, names and addresses are
    replaced, each always by the same one, so that the file may be given away.
    """
    from cti.flight.shelf import segments_in  # noqa: PLC0415 - a command loads its own
    from cti.flight.trace import key_of, messages_of_call, written  # noqa: PLC0415
    from cti.tracker import EndpointRules  # noqa: PLC0415

    settings = settings_of(config_path)
    kept_since = []
    for pbx in _pbxs(settings.pbx, pbx_name, call):
        directory = settings.recorder_directory(pbx)
        rules = EndpointRules(phones=pbx.phones, trunks=pbx.trunks)
        messages = messages_of_call(directory, call, pbx=pbx.name, rules=rules)
        if messages:
            recording = written(messages, key=None if raw else key_of(directory))
            if out is None:
                sys.stdout.buffer.write(recording)
                sys.stdout.buffer.flush()
            else:
                out.write_bytes(recording)
            click.echo(f"{len(messages)} events, from {pbx.name}", err=True)
            return
        kept_since += [
            f"{pbx.name} {one.began:%Y-%m-%d %H:%M} UTC" for one in segments_in(directory)[:1]
        ]
    if kept_since:
        fail(f"{call} is not recorded; what is kept begins at: {', '.join(kept_since)}")
    fail("nothing is recorded")


def _pbxs(pbxs: tuple[PbxSettings, ...], name: str | None, call: str) -> list[PbxSettings]:
    """The PBXs where the call may be: the one that is named, or whose name begins its id."""
    if not pbxs:
        raise click.UsageError("there is no [[pbx]] in the settings (-c FILE)")
    if name is not None:
        chosen = [pbx for pbx in pbxs if pbx.name == name]
        if not chosen:
            names = ", ".join(pbx.name for pbx in pbxs)
            raise click.BadParameter(f"there is only {names}", param_hint="--pbx")
        return chosen
    return [pbx for pbx in pbxs if call.startswith(f"{pbx.name}:")] or list(pbxs)
