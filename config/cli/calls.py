"""`santral record` and `santral replay`: what a PBX said, and what it means."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from config.cli.invocation import CONFIG_OPTION, print_json, run, settings_of

if TYPE_CHECKING:
    from config.settings import Settings
    from cti.settings import PbxSettings

PBX_OPTION = click.option(
    "--pbx", "pbx_name", help="Which PBX of the settings, if there are several."
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--events", "wanted", flag_value="events", help="Print each change of a call.")
@click.option(
    "--calls",
    "wanted",
    flag_value="calls",
    default="calls",
    help="Print each call, at the end of the recording (this is the default).",
)
@PBX_OPTION
@CONFIG_OPTION
def replay(file: Path, wanted: str, pbx_name: str | None, config_path: Path | None) -> None:
    """Print what a recorded AMI stream means, as lines of JSON.

    FILE is what `santral record` wrote, or lines of JSON with the headers of an event each; `-` is
    standard input, and either may be compressed with gzip. No database is needed. Which endpoints
    are phones is read from the PBX's settings; without them those of two to five digits are.
    """
    from cti.replay import replay_calls, replay_events  # noqa: PLC0415 - a command loads its own
    from cti.tracker import EndpointRules  # noqa: PLC0415

    rules, name = None, pbx_name or "pbx"
    if config_path is not None or pbx_name is not None:
        pbx = _pbx(settings_of(config_path), pbx_name)
        rules, name = EndpointRules(phones=pbx.phones, trunks=pbx.trunks), pbx.name
    lines = replay_events if wanted == "events" else replay_calls
    source = "-" if str(file) == "-" else file
    for line in lines(source, name, rules):
        print_json(line)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@PBX_OPTION
@click.option("--seconds", type=float, help="Stop by itself after so long.")
@CONFIG_OPTION
def record(
    file: Path, pbx_name: str | None, seconds: float | None, config_path: Path | None
) -> None:
    """Write what a PBX sends to FILE, until Ctrl-C.

    The file holds the numbers and names of real callers: keep it as you keep those.
    """
    from cti.ami.traces import record_stream  # noqa: PLC0415 - a command loads its own

    pbx = _pbx(settings_of(config_path), pbx_name)

    async def write() -> int:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        if seconds is not None:
            loop.call_later(seconds, stop.set)
        click.echo(f"recording {pbx.name} to {file}; Ctrl-C ends it", err=True)
        return await record_stream(pbx, file, stop)

    written = run(write)
    click.echo(f"{written} bytes", err=True)


def _pbx(settings: Settings, name: str | None) -> PbxSettings:
    """The PBX of this name, or the only one."""
    names = [pbx.name for pbx in settings.pbx]
    if not names:
        raise click.UsageError("there is no [[pbx]] in the settings (-c FILE)")
    if name is None and len(names) > 1:
        raise click.UsageError(f"which PBX? --pbx {' or '.join(names)}")
    for pbx in settings.pbx:
        if name in (None, pbx.name):
            return pbx
    raise click.BadParameter(f"there is only {', '.join(names)}", param_hint="--pbx")
