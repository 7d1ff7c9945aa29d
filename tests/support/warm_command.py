"""``notifyx`` in processes forked from one that has imported it: the import is most of a short command's time.

What runs is the command's own entry point, in a process of its own, with files as its standard streams.
"""

# ruff: noqa: E402  # what is measured is imported after the measurement has started
from __future__ import annotations

import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

from support.measured import measured, start

start()

from notifyx.__main__ import main
from notifyx.cli.commands import COMMANDS
from support.forked import fork
from support.run_folder import run_folder

STREAMS = ("in", "out", "err")

for _listed in COMMANDS.values():
    _listed.load()  # each is imported when it runs, which is to be before the forks


class DoesNotEnd(Exception):
    """A command was killed after its deadline; what it had written."""


def run(
    arguments: tuple[str, ...], stdin: str, environment: Mapping[str, str], *, deadline: float, out: str = ""
) -> tuple[int, str, str]:
    """Run a command to its end, waiting: its exit code, and what it wrote. Raises :class:`DoesNotEnd`.

    ``out``: a device for its standard output, of which nothing is read.
    """
    with tempfile.TemporaryDirectory(dir=run_folder()) as folder:
        streams = [Path(folder) / name for name in STREAMS]
        for stream in streams:
            stream.write_text(stdin if stream.name == "in" else "")
        process = fork(
            _command, arguments, dict(environment), [streams[0], Path(out) if out else streams[1], streams[2]]
        )
        try:
            code = process.wait(deadline)
        except TimeoutError:
            process.send_signal(signal.SIGKILL)
            process.wait()
            out, err = (stream.read_text() for stream in streams[1:])
            raise DoesNotEnd(f"notifyx {' '.join(arguments)} does not end: {out!r} {err!r}") from None
        out, err = (stream.read_text() for stream in streams[1:])
        return code, out, err


def _command(arguments: tuple[str, ...], environment: dict[str, str], streams: list[Path]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for number, stream in enumerate(streams):
        opened = os.open(stream, os.O_WRONLY | os.O_APPEND if number else os.O_RDONLY)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    warnings.simplefilter("error")
    sys.argv = ["notifyx", *arguments]
    with measured():
        main()
