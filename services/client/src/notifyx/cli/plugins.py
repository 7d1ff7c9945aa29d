"""The group of all commands: our own, and those that other packages add by the entry-point group ``notifyx.commands``.

An entry point's name is the command's, and its value a function for Typer. It is loaded only when its command runs:
the platform's packages are slow to import, and publishing a line needs none of them.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup

from notifyx.cli.commands import COMMANDS, Addition, Command

GROUP = "notifyx.commands"
EXPECTED = {"up": Addition("notifyx-local", "Run the whole platform on this machine until Ctrl-C.")}
"""Commands of other packages that are listed even if their package is not installed."""


class PluggableGroup(TyperGroup):
    """The group of commands, each loaded when it runs."""

    def list_commands(self, ctx: Any) -> list[str]:
        """List our own commands in their order, then those of other packages."""
        return [*COMMANDS, *sorted((set(_found()) | set(EXPECTED)) - set(COMMANDS))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command ``cmd_name``, if there is one."""
        own, expected, entry = COMMANDS.get(cmd_name), EXPECTED.get(cmd_name), _found().get(cmd_name)
        if own is not None:
            return Command(cmd_name, own.summary, own.load)
        if entry is not None:
            return Command(cmd_name, expected.summary if expected else f"Part of {entry.value}.", entry.load)
        if expected is None:
            return None
        absent = _absent(cmd_name, expected.package)
        return Command(cmd_name, absent.__doc__ or "", lambda: absent)


def _found() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _absent(name: str, package: str) -> Any:
    def command() -> None:
        # Imported late: only who calls it needs the exit codes.
        from notifyx.cli.exits import Exit  # noqa: PLC0415

        typer.echo(f"notifyx: '{name}' is part of the platform; install it with: pip install {package}", err=True)
        raise typer.Exit(Exit.USAGE)

    command.__doc__ = f"(not installed: pip install {package})"
    command.command_settings = {  # type: ignore[attr-defined]
        "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True}
    }
    return command
