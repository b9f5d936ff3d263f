"""Running Santral: serve, check-config, migrate, doctor, demo."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from config.cli.invocation import CONFIG_OPTION, fail, in_plain_words, run, settings_of

if TYPE_CHECKING:
    from crm_core.db.schema import SchemaState

log = logging.getLogger(__name__)


@click.command()
@CONFIG_OPTION
def serve(config_path: Path | None) -> None:
    """Run the daemon until SIGTERM or Ctrl-C."""
    from config.app import serve as serve_all  # noqa: PLC0415 - a command loads what it needs
    from config.logs import configure_logs  # noqa: PLC0415
    from config.shapes import secrets_in  # noqa: PLC0415

    settings = settings_of(config_path)
    configure_logs(
        level=settings.log.level,
        format=settings.log.format,
        redact=settings.log.redact,
        secrets=secrets_in(settings),
    )
    try:
        with asyncio.Runner(loop_factory=_fast_loop()) as runner:
            runner.run(serve_all(settings))
    except Exception as failure:
        if in_plain_words(failure) is not None:
            raise
        # Through the log and not as a traceback of Python's: it hides secrets and numbers.
        for part in _leaves(failure):
            log.critical("a part failed, the process ends: %s", part, exc_info=part)
        click.get_current_context().exit(1)


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - only there on Linux
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


@click.command("check-config")
@CONFIG_OPTION
def check_config(config_path: Path | None) -> None:
    """Read the settings, list every mistake, and show what is configured."""
    settings = settings_of(config_path)
    for line in settings.described():
        click.echo(line)
    click.echo("OK")


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if there is something to do.")
@CONFIG_OPTION
def migrate(check: bool, config_path: Path | None) -> None:
    """Bring the database to the schema of this version."""
    from crm_core.db import schema  # noqa: PLC0415 - loads SQLAlchemy

    settings = settings_of(config_path)
    settings.database.make_directory()
    url = settings.database.url.get_secret_value()
    state = run(lambda: schema.check(url) if check else schema.migrate(url))
    if state.current:
        click.echo(f"up to date at {state.needs}")
    elif check:
        fail(f"{_has(state)}, this version needs {state.needs}: run `santral migrate`")
    else:
        click.echo(f"{_has(state)} before, has {state.needs} now")


def _has(state: SchemaState) -> str:
    return "the database was empty" if state.has is None else f"the database had {state.has}"


@click.command()
@CONFIG_OPTION
def doctor(config_path: Path | None) -> None:
    """Try every connection of the settings and say in plain words what is wrong with it."""
    from config.examination import examine  # noqa: PLC0415 - loads every package

    settings = settings_of(config_path)
    sick = 0

    async def all_of_them() -> None:
        nonlocal sick
        async for finding in examine(settings):
            sick += not finding.well
            click.echo(f"{'ok  ' if finding.well else 'FAIL'}  {finding.what}: {finding.words}")

    run(all_of_them)
    if sick:
        fail(f"{sick} of these must be put right")


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True)
def demo(port: int) -> None:
    """A whole contact center on this machine: made-up customers, calls and mails."""
    try:
        from config.demo import run as run_demo  # noqa: PLC0415 - needs the extra

        run_demo(port)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("mail_devel", "pymap"):
            fail("the demo's mail server is not installed: pip install 'santral[demo]'")
        raise
