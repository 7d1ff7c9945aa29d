"""Coverage of processes that tests start, where the tests' own process is measured (``pytest --cov``)."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import coverage

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "pyproject.toml"
DATA = ROOT / ".cache" / "coverage" / "data"  # as configured; a process may have another working folder


def measured() -> bool:
    """Return whether this process is measured."""
    return coverage.Coverage.current() is not None


def python() -> list[str]:
    """Return the command of this Python, whose run is measured where this process is; its children's are not."""
    measure = ["-m", "coverage", "run", f"--rcfile={CONFIG}", f"--data-file={DATA}"]
    return [sys.executable, *(measure if measured() else [])]


@contextlib.contextmanager
def measuring() -> Iterator[None]:
    """Measure what runs in the block, in a process that ends after it."""
    run = coverage.Coverage(config_file=str(CONFIG), data_file=str(DATA), data_suffix=True)
    run.start()
    try:
        yield
    finally:
        run.stop()
        run.save()
