"""The commands by name, each imported only when it runs: the help of all of them needs none.

An HTTP client and the models of the API take longer to import than a help text takes to read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand
from typer.main import get_command


@dataclass(frozen=True, slots=True)
class Listed:
    """A command, or a group of some: ``attribute`` of ``notifyx.cli.<module>``, with its help's first line."""

    module: str
    attribute: str
    summary: str

    def load(self) -> Any:
        """Import what it is: a function for Typer, or a Typer."""
        return getattr(import_module(f"notifyx.cli.{self.module}"), self.attribute)


COMMANDS = {
    "login": Listed("account", "login", "Log in, and stay so: tokens are kept in a file that only you can read."),
    "logout": Listed("account", "logout", "End the session at the server, and delete it here."),
    "topics": Listed("topics", "app", "Topics: what is published to."),
    "hooks": Listed("hooks", "app", "Webhooks: secrets with which other software sends to a topic."),
    "account": Listed("account_group", "app", "Your account: name, email, password, all your data, its end."),
    "reset-password": Listed(
        "own_account",
        "reset_password",
        "Set a forgotten password: have a link mailed, and open it in a browser or give it with --link.",
    ),
    "api-keys": Listed("api_keys", "app", "API keys: credentials with which programs act in your name."),
    "sessions": Listed("sessions", "app", "Sessions: where you are signed in."),
    "publish": Listed("publish", "publish", "Publish to a topic: an argument, a file, or standard input."),
    "send": Listed("publish", "send", "Send a notification to one user's inbox."),
    "subscribe": Listed(
        "follow",
        "subscribe",
        "Subscribe to a topic: it is in your inbox from now on. With --follow, print it live as well.",
    ),
    "unsubscribe": Listed("follow", "unsubscribe", "End your subscription to a topic."),
    "inbox": Listed("inbox", "inbox", "Show what you subscribe to, newest first."),
    "history": Listed("history", "history", "Show what a topic holds, newest first."),
    "threads": Listed("threads", "threads", "Show direct messages by person, with both sides."),
    "show": Listed("history", "show", "Show one notification whole."),
    "ack": Listed("inbox", "ack", "Acknowledge notifications: on all your devices, and before they are mailed."),
    "unack": Listed("inbox", "unack", "Mark notifications as unread, on all your devices. No email is sent again."),
    "email": Listed("email", "email", "Show whether email reaches you."),
    "status": Listed("status", "status", "Show the deployment, who you are there, and what you have not read."),
    "doctor": Listed(
        "doctor",
        "doctor",
        "Check a deployment, from its name to a delivered notification, and say what is wrong and what to do.",
    ),
}
"""In the order of the help."""


@dataclass(frozen=True, slots=True)
class Addition:
    """A command that another ``package`` adds, with its help's first line."""

    package: str
    summary: str


class Command(TyperCommand):
    """A command in a list, which becomes the one that ``load`` returns when it is called."""

    def __init__(self, name: str, summary: str, load: Callable[[], Any]) -> None:
        super().__init__(name, help=summary)
        self._load = load

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Make the context of the real command, which is then what runs."""
        return self.real().make_context(info_name, args, parent=parent, **extra)

    def real(self) -> Any:
        """Import the command."""
        found, name = self._load(), self.name or ""
        if isinstance(found, typer.Typer):
            group = get_command(found)
            group.name = name
            return group
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command(name, **getattr(found, "command_settings", {}))(found)
        return get_command(app)
