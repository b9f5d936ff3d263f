"""The `santral` command.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration. What is meant for programs goes to
standard output, everything else to standard error.

- `invocation`: what the commands share: settings, errors in plain words, the open database.
- `operating`: serve, check-config, migrate, doctor, demo.
- `users`, `customers`, `calls`, `traces`, `mails`: the commands about each.
"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version

import click

from config.cli.calls import record, replay
from config.cli.customers import import_customers, match
from config.cli.invocation import Santral
from config.cli.mails import mail
from config.cli.operating import check_config, demo, doctor, migrate, serve
from config.cli.traces import trace
from config.cli.users import user


def _version() -> str:
    try:
        return version("santral")
    except PackageNotFoundError:  # run from a directory that was never installed
        return "unknown"


@click.group(cls=Santral, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), prog_name="santral")
def main() -> None:
    """Contact-center CTI: who is calling, before the phone is picked up."""
    # Databases and recordings are about people: only the user who runs us may read them.
    os.umask(0o077)


for command in (
    serve,
    check_config,
    doctor,
    migrate,
    user,
    import_customers,
    match,
    replay,
    record,
    trace,
    mail,
    demo,
):
    main.add_command(command)
