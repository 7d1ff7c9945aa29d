"""``notifyx`` in processes forked from one that has imported it: the import is most of a short command's time.

What runs is the command's own entry point, in a process of its own, with files as its standard streams.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

from notifyx.__main__ import main
from support.measured import measured, measuring

STREAMS = ("in", "out", "err")


class DoesNotEnd(Exception):
    """A command was killed after its deadline; what it had written."""


def run(
    arguments: tuple[str, ...], stdin: str, environment: Mapping[str, str], *, deadline: float
) -> tuple[int, str, str]:
    """Run a command to its end, waiting: its exit code, and what it wrote. Raises :class:`DoesNotEnd`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "notifyx.cli.app"])
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder) / name for name in STREAMS]
        for stream in streams:
            stream.write_text(stdin if stream.name == "in" else "")
        process = context.Process(target=_command, args=(arguments, dict(environment), streams, measured()))
        process.start()
        process.join(deadline)
        ended = process.exitcode is not None
        if not ended:
            process.kill()
            process.join()
        out, err = (stream.read_text() for stream in streams[1:])
        if not ended:
            raise DoesNotEnd(f"notifyx {' '.join(arguments)} does not end: {out!r} {err!r}")
        assert process.exitcode is not None
        return process.exitcode, out, err


def _command(arguments: tuple[str, ...], environment: dict[str, str], streams: list[Path], measure: bool) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for number, stream in enumerate(streams):
        opened = os.open(stream, os.O_WRONLY | os.O_APPEND if number else os.O_RDONLY)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    warnings.simplefilter("error")
    sys.argv = ["notifyx", *arguments]
    with measuring() if measure else contextlib.nullcontext():
        main()
