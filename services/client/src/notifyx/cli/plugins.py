"""The group of all commands: our own, and those that other packages add by the entry-point group ``notifyx.commands``.

An entry point's name is the command's, and its value a function for Typer. It is loaded only when its command runs:
the platform's packages are slow to import, and publishing a line needs none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any

import typer
from typer.core import TyperGroup

from notifyx.cli import entry_points
from notifyx.cli.commands import COMMANDS, Addition, Command

GROUP = "notifyx.commands"
EXPECTED = {
    "backup": Addition("notifyx-backup", "Write a backup of the platform's databases."),
    "restore": Addition("notifyx-backup", "Restore the platform's databases from a backup."),
    "up": Addition("notifyx-local", "Run the whole platform on this machine until Ctrl-C."),
}
"""Commands of other packages that are listed even if their package is not installed."""


class PluggableGroup(TyperGroup):
    """The group of commands, each loaded when it runs."""

    def list_commands(self, ctx: Any) -> list[str]:
        """List our own commands in their order, then those of other packages."""
        return [*COMMANDS, *sorted((set(self._found) | set(EXPECTED)) - set(COMMANDS))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command ``cmd_name``, if there is one."""
        if (own := COMMANDS.get(cmd_name)) is not None:
            return Command(cmd_name, own.summary, own.load)
        expected, entry = EXPECTED.get(cmd_name), self._found.get(cmd_name)
        if entry is not None:
            return Command(
                cmd_name, expected.summary if expected else f"Part of {entry}.", partial(entry_points.load, entry)
            )
        if expected is None:
            return None
        absent = _absent(cmd_name, expected.package)
        return Command(cmd_name, absent.__doc__ or "", lambda: absent)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help of all commands, without loading what Typer draws any help with."""
        from notifyx.cli.overview import write  # noqa: PLC0415 - only the help needs it

        options = [(", ".join(option.opts), getattr(option, "help", "") or "") for option in self.get_params(ctx)]
        commands = [(name, self.get_command(ctx, name).help or "") for name in self.list_commands(ctx)]
        write(self.get_usage(ctx), self.help or "", options, commands)

    def invoke(self, ctx: Any) -> Any:
        """Run the command. A value that it does not take is told in our words, not in those of Typer's library."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = _reason(error)
            raise

    @cached_property
    def _found(self) -> Mapping[str, str]:
        # Only when it is needed: a file of every installed package is read.
        return entry_points.find(GROUP)


def _reason(refused: typer.BadParameter) -> str:
    # Imported late: most command lines are right.
    from pydantic import ValidationError  # noqa: PLC0415

    from notifyx.cli.output import visible  # noqa: PLC0415
    from notifyx_topics.words import reason  # noqa: PLC0415

    if not isinstance(refused.__cause__, ValidationError):
        return refused.message
    # The sentence may have the value in it.
    return visible(reason(refused.__cause__.errors(include_url=False, include_input=False)[0]))


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
