"""What is asked for at a terminal, and read from standard input where there is none. Secrets are never arguments."""

from __future__ import annotations

import sys

import typer

from notifyx.cli.exits import UsageProblem


def prompt(what: str, option: str) -> str:
    """Ask for a value that is no secret. Raises :class:`UsageProblem` without a terminal: ``option`` gives it."""
    if not sys.stdin.isatty():
        raise UsageProblem(f"Give {option}; there is no terminal to ask at.")
    return str(typer.prompt(what, err=True)).strip()


def optional(what: str) -> str:
    """Ask for a value that may be left out; nothing is read without a terminal."""
    if not sys.stdin.isatty():
        return ""
    return str(typer.prompt(f"{what} (optional)", default="", show_default=False, err=True)).strip()


def hidden(what: str) -> str:
    """Ask for a secret, or read the next line. Raises :class:`UsageProblem` if there is none."""
    if not sys.stdin.isatty():
        return first_line(what.lower())
    return str(typer.prompt(what, hide_input=True, err=True))


def new_password(what: str = "New password") -> str:
    """Ask for a password to set, twice at a terminal. Raises :class:`UsageProblem`."""
    password = hidden(what)
    if sys.stdin.isatty() and password != hidden(f"{what} again"):
        raise UsageProblem("The two passwords differ.")
    return password


def first_line(what: str) -> str:
    """Read the next line of standard input. Raises :class:`UsageProblem` if it is empty."""
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise UsageProblem(f"There is no {what} on standard input.")
    return line


def confirm(question: str) -> None:
    """Ask whether to go on; what is piped, such as a password, is no answer. Raises :class:`UsageProblem`."""
    if not sys.stdin.isatty():
        raise UsageProblem("Give --yes; there is no terminal to ask at.")
    typer.confirm(question, abort=True, err=True)
