"""The exit codes. They are documented in docs/cli.md, and scripts rely on them."""

from __future__ import annotations

from enum import IntEnum

from notifyx.errors import (
    AnswerLost,
    DeadlineExceeded,
    HistoryTruncated,
    NotifyxError,
    NotLoggedIn,
    ServerError,
    TokenFileError,
    TooManyRequests,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)


class Exit(IntEnum):
    """The exit codes."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    NOT_LOGGED_IN = 3
    UNREACHABLE = 4
    INCOMPLETE = 5
    LOCAL = 6
    INTERRUPTED = 130


class UsageProblem(NotifyxError):
    """The command line is wrong, or a file that it names cannot be used."""

    code = "usage"


class Incomplete(NotifyxError):
    """A part of the work succeeded, a part failed."""

    code = "incomplete"


_UNREACHABLE = (
    Unreachable,
    AnswerLost,
    Unavailable,
    DeadlineExceeded,
    TooManyRequests,
    ServerError,
    UnexpectedAnswer,
)


def exit_code(error: NotifyxError) -> Exit:
    """Return the exit code for ``error``."""
    if isinstance(error, UsageProblem):
        return Exit.USAGE
    if isinstance(error, NotLoggedIn) or error.code == "invalid_grant":
        return Exit.NOT_LOGGED_IN
    if isinstance(error, _UNREACHABLE):
        return Exit.UNREACHABLE
    if isinstance(error, (HistoryTruncated, Incomplete)):
        return Exit.INCOMPLETE
    return Exit.LOCAL if isinstance(error, TokenFileError) else Exit.REFUSED
