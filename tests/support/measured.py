"""Branch coverage of the tests' processes and of those that they start, by slipcover.

It is measured where ``COVERAGE_FOLDER`` names a folder, as in ``make test``. Each process writes a file there, and the
run's first process reports their sum. The configuration is ``[tool.slipcover]`` in ``pyproject.toml``.

A process measures what it imports after :func:`start`, so this module imports nothing of the platform.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import io
import os
import pickle
import runpy
import sys
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
VARIABLE = "COVERAGE_FOLDER"

HITS = 1000
"""How often a probe that was seen runs before those seen are taken out, on Python 3.11: a search through all functions,
which takes 50 ms and which the default of 50 asks for in each short process.
"""

PROGRAMS = (
    "services/client/src",
    "services/common/src/notifyx_common/serving",
    "services/local/src",
    "services/mailbox/src",
)
"""What is measured in processes that tests start. The rest runs in the tests' own; to prepare it takes a second."""


@cache
def start() -> Measurement | None:
    """Measure this process from now on, if the run is measured."""
    folder = os.environ.get(VARIABLE)
    return Measurement(ROOT / folder, _settings()["source"]) if folder else None


@contextlib.contextmanager
def measured() -> Iterator[None]:
    """Write what this process ran when the block is left, in a process that does not outlive it."""
    try:
        yield
    finally:
        if (measurement := start()) is not None:
            measurement.save()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let the measurement do nothing of its own meanwhile, for tests that count calls or memory.

    On Python 3.11 it takes out the probes that it has seen, now and then: hundreds of thousands of calls, which replace
    code.
    """
    slipcover = None if (measurement := start()) is None else measurement.slipcover
    if slipcover is None or not hasattr(slipcover, "deinstrument_seen"):
        yield
        return
    slipcover.deinstrument_seen = lambda: None
    try:
        yield
    finally:
        del slipcover.deinstrument_seen


def python() -> list[str]:
    """Return the command of this Python. What it runs is measured where this process is; its children are not."""
    measurement = start()
    return [sys.executable, *([] if measurement is None else ["-P", __file__, str(measurement.folder)])]


class Measurement:
    """The coverage of the folders ``sources`` in this process, which is written to ``folder``."""

    def __init__(self, folder: Path, sources: Sequence[str]) -> None:
        from slipcover import FileMatcher, Slipcover  # noqa: PLC0415  # most runs are not measured

        from support.instrumented import Finder  # noqa: PLC0415  # as above

        self.folder = folder
        self.slipcover = Slipcover(branch=True, d_miss_threshold=HITS)
        matcher = FileMatcher(sources=[str(ROOT / source) for source in sources])
        sys.meta_path.insert(0, Finder(self.slipcover, matcher, folder.with_name("instrumented")))

    def save(self) -> None:
        """Write what this process has imported and run. Neither it nor its later forks write that again."""
        measured = self.slipcover
        with measured.lock:
            _add(measured.newly_seen, measured.all_seen)
            found = [measured.code_lines, measured.code_branches, measured.all_seen]
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / f"{os.getpid()}-{os.urandom(4).hex()}.pickle").write_bytes(pickle.dumps(found))
            for part in (measured.newly_seen, *found):
                part.clear()

    def clear(self) -> None:
        """Remove what an earlier run has written."""
        for file in self.folder.glob("*.pickle"):
            file.unlink()

    def report(self) -> tuple[str, bool]:
        """Return the coverage of all processes, as a table, and whether it is high enough."""
        from slipcover import Slipcover, print_coverage  # noqa: PLC0415  # as above

        settings = _settings()
        sources = [str(ROOT / source) for source in settings["source"]]  # what nobody imported counts as well
        whole = Slipcover(branch=True, source=sources, exclude_also=settings["exclude-also"])
        for file in self.folder.glob("*.pickle"):
            found = pickle.loads(file.read_bytes())
            for part, into in zip(found, (whole.code_lines, whole.code_branches, whole.all_seen), strict=True):
                _add(part, into)
        coverage = whole.get_coverage()
        coverage["files"] = {os.path.relpath(name, ROOT): found for name, found in coverage["files"].items()}
        table = io.StringIO()
        print_coverage(coverage, outfile=table, skip_covered=True, missing_width=settings["missing-width"])
        total, least = coverage["summary"]["percent_covered"], settings["fail-under"]
        table.write(f"Coverage of lines and branches: {total:.1f} %; at least {least} % is required.")
        return table.getvalue(), total >= least


def _add(found: dict[str, set[Any]], whole: dict[str, set[Any]]) -> None:
    """Add what was found, by the files' names. Another process may have another name for a file."""
    for name, part in found.items():
        whole.setdefault(_resolved(name), set()).update(part)


@cache
def _resolved(name: str) -> str:
    return str(Path(name).resolve())


@cache
def _settings() -> dict[str, Any]:
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["slipcover"]
    return settings


def main() -> None:
    """Measure, into a folder, a run of ``-m MODULE`` or of a script, with its arguments.

    Of a module its ``main`` is called, as the installed command does: slipcover measures what is imported.
    """
    _, folder, *arguments = sys.argv
    sys.path.insert(0, str(Path(__file__).parents[1]))
    atexit.register(Measurement(Path(folder), PROGRAMS).save)
    del sys.path[0]  # programs do not find the tests
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        module = importlib.import_module(sys.argv[0])
        if hasattr(module, "__path__"):
            module = importlib.import_module(f"{sys.argv[0]}.__main__")
        module.main()
    else:
        sys.argv = arguments
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
