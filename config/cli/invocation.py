"""What all commands share: settings, errors in plain words, the open database."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

if TYPE_CHECKING:
    from config.settings import Settings
    from crm_core.ports import Store

Result = TypeVar("Result")

CONFIG_OPTION = click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    envvar="SANTRAL_CONFIG",
    help="The settings' file. Without one, defaults and the environment apply.",
)
JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Santral(click.Group):
    """A group whose commands end with a sentence and the right exit code, not with a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """In the order in which they are needed, not by the alphabet."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if _is(error, "config.mistakes", "ConfigError"):
                click.echo(error, err=True)
                ctx.exit(2)
            words = in_plain_words(error)
            if words is None:
                raise
            click.echo(f"santral: {words}", err=True)
            ctx.exit(1)


def in_plain_words(error: Exception) -> str | None:
    """What an error that can happen to anybody means; None for one that is a defect."""
    for module, name in (
        ("crm_core.errors", "CoreError"),
        ("cti.errors", "CtiError"),
        ("mail.errors", "MailError"),
        ("alembic.util", "CommandError"),
    ):
        if _is(error, module, name):
            return str(error) or name
    if isinstance(error, BrokenPipeError):
        return None  # click knows how to end for that
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    return None


def _is(error: Exception, module: str, name: str) -> bool:
    # Only a module that is loaded can have raised: nothing is imported for this.
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(error, kind)


def fail(words: str) -> NoReturn:
    """End the command with exit code 1 and these words."""
    click.echo(f"santral: {words}", err=True)
    click.get_current_context().exit(1)


def settings_of(path: Path | None) -> Settings:
    """The settings, with logging set up for a command that people watch.

    Raises:
        ConfigError: with every mistake there is.
    """
    from config.logs import configure_logs  # noqa: PLC0415 - a command loads what it needs
    from config.settings import load_settings  # noqa: PLC0415
    from config.shapes import secrets_in  # noqa: PLC0415

    read = load_settings(path)
    for warning in read.warnings:
        click.echo(f"warning: {warning}", err=True)
    configure_logs(
        level="warning",
        format=read.settings.log.format,
        redact=read.settings.log.redact,
        secrets=secrets_in(read.settings),
    )
    return read.settings


def run(main: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run the asynchronous part of a command."""
    return asyncio.run(main())


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Store]:
    """The database of the settings; an empty one gets its tables first."""
    from crm_core.db import open_store  # noqa: PLC0415 - loads SQLAlchemy

    await prepare_database(settings)
    store = open_store(settings.database.url.get_secret_value())
    try:
        yield store
    finally:
        await store.close()


async def prepare_database(settings: Settings) -> None:
    """Make the tables of an empty database. One of another version is left alone.

    Raises:
        Exit: the database needs `santral migrate`.
    """
    from crm_core.db import schema  # noqa: PLC0415 - loads SQLAlchemy

    settings.database.make_directory()
    url = settings.database.url.get_secret_value()
    state = await schema.check(url)
    if state.has is None:
        await schema.migrate(url)
    elif not state.current:
        fail(
            f"the database has the schema {state.has}, this version needs {state.needs}: "
            "run `santral migrate`"
        )


def say(text: str) -> None:
    """Print for people. Names and subjects come from outside and may not steer a terminal."""
    from config.logs import escaped  # noqa: PLC0415 - loads structlog

    click.echo(escaped(text, keep="\n\t"))


def print_json(value: object) -> None:
    """Print one line of JSON, in UTF-8 whatever the terminal speaks."""
    try:
        line = json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # halves of characters, from a hostile source
        line = json.dumps(value).encode()
    click.echo(line)
