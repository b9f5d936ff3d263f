"""`santral user`: who may sign in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from config.cli.invocation import (
    CONFIG_OPTION,
    JSON_OPTION,
    fail,
    open_database,
    print_json,
    run,
    say,
    settings_of,
)

if TYPE_CHECKING:
    from config.settings import Settings
    from crm_core.model import User
    from crm_core.ports import UnitOfWork

_SHORTEST_PASSWORD = 10


@click.group()
def user() -> None:
    """Agents, supervisors and administrators."""


@user.command("add")
@click.argument("login")
@click.option("--name", default="", help="Shown to others; the login if left out.")
@click.option(
    "--role",
    type=click.Choice(["agent", "supervisor", "admin"]),
    default="agent",
    show_default=True,
)
@click.option("--team", default="", help="Whose missed calls and mails the user sees.")
@click.option("--language", type=click.Choice(["en", "tr", "ru"]), default="en", show_default=True)
@click.option("--email", default="")
@click.option(
    "--phone",
    "phones",
    multiple=True,
    metavar="PBX:ENDPOINT",
    help="A phone of the user, as main:PJSIP/1001. May be given several times.",
)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--no-password", is_flag=True, help="Sign in by links only (santral user link).")
@CONFIG_OPTION
def add(
    *,
    login: str,
    name: str,
    role: str,
    team: str,
    language: str,
    email: str,
    phones: tuple[str, ...],
    password_stdin: bool,
    no_password: bool,
    config_path: Path | None,
) -> None:
    """Create a user."""
    from agent_ui.auth import hash_password  # noqa: PLC0415 - loads argon2

    settings = settings_of(config_path)
    if not login.strip() or login != login.strip():
        raise click.BadParameter("must not be empty or have blanks around it", param_hint="LOGIN")
    _check_team(team, settings)
    ends = [_phone(text, settings, "--phone") for text in phones]
    password = None if no_password else _password(from_stdin=password_stdin)
    password_hash = None if password is None else hash_password(password)

    async def create() -> User:
        async with open_database(settings) as store, store.begin() as uow:
            await _check_phones(uow, ends, login)
            created = await uow.users.add(
                login=login,
                name=name or login,
                role=role,
                team=team,
                language=language,
                email=email,
                phones=ends,
                password_hash=password_hash,
            )
            await uow.commit()
            return created

    created = run(create)
    click.echo(f"created {created.role} {created.login}")


@user.command("change")
@click.argument("login")
@click.option("--name", help="Shown to others.")
@click.option("--role", type=click.Choice(["agent", "supervisor", "admin"]))
@click.option("--team", help='Whose missed calls and mails the user sees; "" is none.')
@click.option("--language", type=click.Choice(["en", "tr", "ru"]))
@click.option("--email")
@click.option(
    "--add-phone",
    "add_phones",
    multiple=True,
    metavar="PBX:ENDPOINT",
    help="One more phone, as main:PJSIP/1001. May be given several times.",
)
@click.option(
    "--remove-phone",
    "remove_phones",
    multiple=True,
    metavar="PBX:ENDPOINT",
    help="A phone that is no longer theirs. May be given several times.",
)
@click.option(
    "--active/--inactive",
    default=None,
    help="Who is inactive is signed out and cannot sign in; the history stays.",
)
@CONFIG_OPTION
def change(
    *,
    login: str,
    name: str | None,
    role: str | None,
    team: str | None,
    language: str | None,
    email: str | None,
    add_phones: tuple[str, ...],
    remove_phones: tuple[str, ...],
    active: bool | None,
    config_path: Path | None,
) -> None:
    """Change a user; what is not given stays. Open pages of the user start anew."""
    settings = settings_of(config_path)
    if name is not None and not name.strip():
        raise click.BadParameter("must not be empty", param_hint="--name")
    _check_team(team, settings)
    more = [_phone(text, settings, "--add-phone") for text in add_phones]
    # The PBX of a phone to remove may be in the settings no longer.
    less = [_phone(text, None, "--remove-phone") for text in remove_phones]
    plain = (name, role, team, language, email, active)
    if not (more or less or any(value is not None for value in plain)):
        raise click.UsageError("nothing to change: give at least one option")

    async def write() -> User:
        async with open_database(settings) as store, store.begin() as uow:
            found = await _user(uow, login)
            await _check_phones(uow, more, login)
            changed = await uow.users.change(
                found.id,
                name=name,
                role=role,
                team=team,
                language=language,
                email=email,
                active=active,
                add_phones=more,
                remove_phones=less,
            )
            await uow.commit()
            return changed

    say(f"changed: {_in_one_line(run(write))}")


@user.command("list")
@JSON_OPTION
@CONFIG_OPTION
def list_users(as_json: bool, config_path: Path | None) -> None:
    """Show every user."""
    settings = settings_of(config_path)

    async def read() -> list[User]:
        async with open_database(settings) as store, store.begin() as uow:
            return await uow.users.all()

    for each in run(read):
        phones = [f"{phone.pbx}:{phone.name}" for phone in each.phones]
        if as_json:
            print_json(
                {
                    "login": each.login,
                    "name": each.name,
                    "role": each.role,
                    "team": each.team,
                    "language": each.language,
                    "email": each.email,
                    "phones": phones,
                    "active": each.active,
                }
            )
        else:
            say(_in_one_line(each))


def _in_one_line(user: User) -> str:
    phones = " ".join(f"{phone.pbx}:{phone.name}" for phone in user.phones)
    parts = [user.login, user.role, user.name, user.team, phones]
    return "\t".join(parts) + ("" if user.active else "\t(inactive)")


@user.command("password")
@click.argument("login")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@CONFIG_OPTION
def password(login: str, password_stdin: bool, config_path: Path | None) -> None:
    """Set a new password. Everywhere the user is signed in, that ends."""
    from agent_ui.auth import hash_password  # noqa: PLC0415 - loads argon2

    settings = settings_of(config_path)

    async def exists() -> None:
        async with open_database(settings) as store, store.begin() as uow:
            await _user(uow, login)

    run(exists)
    password_hash = hash_password(_password(from_stdin=password_stdin))

    async def change() -> None:
        async with open_database(settings) as store, store.begin() as uow:
            found = await _user(uow, login)
            await uow.users.set_password_hash(found.id, password_hash)
            await uow.commit()

    run(change)
    click.echo(f"changed the password of {login}")


@user.command("link")
@click.argument("login")
@CONFIG_OPTION
def link(login: str, config_path: Path | None) -> None:
    """Print an address that signs the user in, once, within an hour."""
    from agent_ui.auth import Auth  # noqa: PLC0415 - loads argon2

    settings = settings_of(config_path)
    if not (settings.web.port or settings.web.public_url):
        fail(
            "web.port is 0: the port is chosen when Santral starts, so there is no address to "
            "give; set web.port or web.public_url"
        )

    async def make() -> str:
        async with open_database(settings) as store:
            async with store.begin() as uow:
                found = await _user(uow, login)
            if not found.active:
                fail(f"{found.login} is inactive: santral user change {found.login} --active")
            with Auth(store, settings.web.sign_in) as auth:
                return await auth.make_link(found.id)

    token = run(make)
    click.echo(f"{_address(settings)}/signin/{token}")


async def _user(uow: UnitOfWork, login: str) -> User:
    found = await uow.users.by_login(login)
    if found is None:
        fail(f"there is no user {login!r}")
    return found[0]


async def _check_phones(uow: UnitOfWork, phones: list[tuple[str, str]], login: str) -> None:
    """End the command if somebody else has one of the phones; who is inactive keeps theirs."""
    for each in await uow.users.all():
        for phone in each.phones:
            if (phone.pbx, phone.name) in phones and each.login != login.casefold():
                shown = f"{phone.pbx}:{phone.name}"
                kept = "" if each.active else ", who is inactive but keeps it"
                fail(
                    f"the phone {shown} belongs to {each.login}{kept}; to free it: "
                    f"santral user change {each.login} --remove-phone {shown}"
                )


def _address(settings: Settings) -> str:
    if settings.web.public_url:
        return settings.web.public_url
    host = settings.web.host
    if host in ("0.0.0.0", "::"):  # noqa: S104 - recognised, not bound
        host = "localhost"
    return (
        f"http://[{host}]:{settings.web.port}"
        if ":" in host
        else f"http://{host}:{settings.web.port}"
    )


def _check_team(team: str | None, settings: Settings) -> None:
    if settings.teams and team and team not in settings.teams:
        raise click.BadParameter(
            f"there is no team {team!r} in the settings; there are {', '.join(settings.teams)}",
            param_hint="--team",
        )


def _phone(text: str, settings: Settings | None, option: str) -> tuple[str, str]:
    """The PBX and the endpoint; the PBX must be in the settings, if any are."""
    pbx, colon, endpoint = text.partition(":")
    if not colon or not pbx or "/" not in endpoint:
        raise click.BadParameter(
            f"{text!r} is not of the form PBX:ENDPOINT, as main:PJSIP/1001", param_hint=option
        )
    names = [each.name for each in settings.pbx] if settings else []
    if names and pbx not in names:
        raise click.BadParameter(
            f"there is no PBX {pbx!r} in the settings; there are {', '.join(names)}",
            param_hint=option,
        )
    return pbx, endpoint


def _password(*, from_stdin: bool) -> str:
    """The new password, typed twice or from a pipe."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if len(password) < _SHORTEST_PASSWORD:
        raise click.UsageError(f"a password has at least {_SHORTEST_PASSWORD} characters")
    return str(password)
