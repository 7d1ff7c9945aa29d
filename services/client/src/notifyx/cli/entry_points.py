"""Finds entry points of installed packages in a fraction of the time that ``importlib.metadata`` takes.

That library imports the standard library's package for emails, in whose format the rest of the metadata is: a fifth of
what ``notifyx --help`` takes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

_FOLDERS = (".dist-info", ".egg-info")


def find(group: str, path: Iterable[str] | None = None) -> dict[str, str]:
    """Return the entry points of ``group`` by name: ``module:attribute`` of each.

    They are those of the packages in the folders of ``path``, by default ``sys.path``. Of a package that is there twice
    the first one counts.
    """
    seen: set[str] = set()
    found: dict[str, str] = {}
    for folder in sys.path if path is None else path:
        for package in _packages(folder or "."):
            name = package.partition("-")[0].lower().replace(".", "_")
            if name not in seen:
                seen.add(name)
                found.update(_of_file(os.path.join(folder or ".", package, "entry_points.txt"), group))
    return found


def load(value: str) -> Any:
    """Import what an entry point names. Raises :class:`ImportError` and :class:`AttributeError`."""
    module, _, attribute = value.partition("[")[0].strip().partition(":")
    loaded: Any = import_module(module.strip())
    for name in filter(None, attribute.strip().split(".")):
        loaded = getattr(loaded, name)
    return loaded


def _packages(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.endswith(_FOLDERS)]
    except OSError:  # an archive, or no folder
        return []


def _of_file(path: str, group: str) -> Iterator[tuple[str, str]]:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError):
        return
    inside = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == f"[{group}]"
        elif inside and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()
