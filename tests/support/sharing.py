"""What is dear to start, for a group of files: the first test that asks starts it, and it ends after the last test.

A group is the files with one ``xdist_group`` mark; a file without the mark is a group by itself. One worker runs a
group without a break, so that nothing runs on, and takes processor time, beside the tests of other groups.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

import pytest
from xdist.scheduler import LoadScopeScheduling

T = TypeVar("T")

_MARK = re.compile(r'xdist_group\("([^"]+)"\)')


class Shared:
    """The entered contexts of the group that runs now."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._entered: dict[Callable[[], AbstractContextManager[object]], object] = {}

    def enter(self, make: Callable[[], AbstractContextManager[T]]) -> T:
        """Return what the context that ``make`` makes yields; it is entered once a group."""
        if make not in self._entered:
            self._entered[make] = self._stack.enter_context(make())
        return cast(T, self._entered[make])

    def leave(self) -> None:
        """Leave all contexts, the last first."""
        self._entered.clear()
        self._stack.close()


@cache
def group(file: Path) -> str:
    """Return the name of the group that a file of tests belongs to.

    The mark is read as text. xdist's own way, which adds the group to the names of tests where they are collected, has
    no effect since pytest 9.2.
    """
    mark = _MARK.search(file.read_text())
    return str(file) if mark is None else mark[1]


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist is not typed
    """One worker runs the files of a group."""

    def _split_scope(self, nodeid: str) -> str:
        return group(self.config.rootpath / nodeid.partition("::")[0])


def in_order(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the tests group by group, those with slow tests first, so that no worker is left with one at the end.

    These stand in the order of their files' names and not of their folders: tests of a kind would all want the same
    at once.
    """
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault(group(item.path), []).append(item)

    def first_slow(tests: list[pytest.Item]) -> tuple[int, str]:
        slow = [item.path.name for item in tests if item.get_closest_marker("slow")]
        return (0, min(slow)) if slow else (1, "")

    return [item for tests in sorted(groups.values(), key=first_slow) for item in tests]
