"""The command line ``notifyx`` as its users run it: a process of its own, with a configuration folder of its own."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support import warm_command
from support.measured import python
from support.patience import PATIENCE


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The one line of JSON it wrote."""
        (line,) = self.out.splitlines()
        return json.loads(line)

    @property
    def lines(self) -> list[Any]:
        """Its lines of JSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> dict[str, Any]:
        """The error it told as JSON."""
        found: dict[str, Any] = json.loads(self.err.splitlines()[-1])["error"]
        return found


@dataclass(frozen=True)
class Shell:
    """Somebody at a machine: ``home`` keeps their tokens, ``environment`` is theirs beside it."""

    url: str
    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def token_file(self) -> Path:
        """Where ``notifyx login`` leaves tokens."""
        return self.home / "notifyx" / "tokens.json"

    async def start(self, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        """Start ``notifyx`` with ``arguments``."""
        return await asyncio.create_subprocess_exec(
            *python(),
            "-m",
            "notifyx",
            *arguments,
            env={**self._environment(environment), "PYTHONWARNINGS": "error"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(
        self, *arguments: str, stdin: str = "", code: int | None = 0, out: str = "", **environment: str
    ) -> Done:
        """Run ``notifyx`` to its end; asserts its exit code unless ``code`` is ``None``. ``out``: where it writes."""
        ended = await asyncio.to_thread(
            warm_command.run, arguments, stdin, self._environment(environment), deadline=PATIENCE, out=out
        )
        done = Done(*ended)
        assert "Traceback" not in done.err, done.err
        if code is not None:
            assert done.code == code, f"notifyx {' '.join(arguments)}: {done}"
        return done

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("NOTIFYX_")}
        own = {"NOTIFYX_URL": self.url, "XDG_CONFIG_HOME": str(self.home)}
        return {**inherited, **own, **self.environment, **more}

    async def json(self, *arguments: str, **options: Any) -> Any:
        """The one line of JSON of a command that has to succeed."""
        return (await self.run(*arguments, "--output", "json", **options)).data

    async def login(self, name: str, password: str = "correct horse battery") -> None:
        """Sign ``name`` up and log in."""
        email = f"{name}@example.com"
        await self.run(
            "login", "--sign-up", "--email", email, "--name", name.title(), "--password-stdin", stdin=f"{password}\n"
        )
