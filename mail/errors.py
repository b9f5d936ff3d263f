"""Errors of mail, sorted by who must act.

- `MailError`
    - `ServerUnavailable`: nobody; the server is tried again.
        - `ProtocolSurprise`: us; the server sent what we do not understand, the connection is gone.
    - `LoginRefused`: the operator; user, password or the server's rules are wrong.
    - `ParserUnavailable`: the operator; this machine cannot start the process that parses mails.
    - `CommandRefused`: depends; the server said no to one command, the connection still stands.
"""

from __future__ import annotations


class MailError(Exception):
    """Something about a mailbox went wrong."""


class ServerUnavailable(MailError):
    """The mail server cannot be reached, went away or does not answer in time."""

    def __init__(self, message: str, *, throttled: bool = False) -> None:
        super().__init__(message)
        self.throttled = throttled
        """The server asked us to come back later."""


class ProtocolSurprise(ServerUnavailable):
    """The server sent something that is not IMAP, or more than we are willing to hold."""


class LoginRefused(MailError):
    """The mail server does not let us in."""


class CommandRefused(MailError):
    """The mail server refused one command (NO or BAD)."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code
        """The response code in capitals, such as `NONEXISTENT`, or `""`."""


class ParserUnavailable(MailError):
    """The process that parses mails cannot be started."""
