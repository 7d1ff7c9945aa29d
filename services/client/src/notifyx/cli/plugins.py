"""Commands that other packages add, by the entry-point group ``notifyx.commands``.

An entry point's name is the command's, and its value a function for Typer. It is loaded only when its command runs:
the platform's packages are slow to import, and publishing a line needs none of them.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from notifyx.cli.exits import Exit

GROUP = "notifyx.commands"
EXPECTED = {"up": "notifyx-local"}
"""Commands of other packages that are listed even if their package is not installed, with its name."""


class PluggableGroup(TyperGroup):
    """A group that adds the commands of installed packages."""

    def list_commands(self, ctx: Any) -> list[str]:
        """List our own commands in their order, then those of other packages."""
        own = super().list_commands(ctx)
        return [*own, *sorted((set(_found()) | set(EXPECTED)) - set(own))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command ``cmd_name``, if there is one."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        entry = _found().get(cmd_name)
        if entry is not None:
            return _made(cmd_name, entry.load())
        return _made(cmd_name, _absent(cmd_name, EXPECTED[cmd_name])) if cmd_name in EXPECTED else None


def _found() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _made(name: str, function: Any, **settings: Any) -> Any:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name, **getattr(function, "command_settings", settings))(function)
    return get_command(app)


def _absent(name: str, package: str) -> Any:
    def command() -> None:
        typer.echo(f"notifyx: '{name}' is part of the platform; install it with: pip install {package}", err=True)
        raise typer.Exit(Exit.USAGE)

    command.__doc__ = f"(not installed: pip install {package})"
    command.command_settings = {  # type: ignore[attr-defined]
        "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True}
    }
    return command
