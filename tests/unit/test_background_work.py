"""Where tasks may be started: in the kit, or in a task group of the function that waits for them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KIT = ROOT / "services/common/src/notifyx_common/background.py"
CLIENT = ROOT / "services/client"
"""Stands alone, and imports nothing of the platform."""

STARTS = ("create_task", "ensure_future")


def sources() -> list[Path]:
    found = [*ROOT.glob("services/*/src/**/*.py"), *ROOT.glob("operator/src/**/*.py")]
    return sorted(path for path in found if path != KIT and not path.is_relative_to(CLIENT))


def started(node: ast.AST, groups: frozenset[str] = frozenset()) -> Iterator[int]:
    """The lines that start a task outside the block of a task group."""
    if isinstance(node, ast.AsyncWith):
        names = (ast.unparse(item.optional_vars) for item in node.items if _is_group(item) and item.optional_vars)
        groups |= frozenset(names)
    if isinstance(node, ast.alias) and node.name in STARTS:
        yield node.lineno
    if (
        isinstance(node, ast.Attribute | ast.Name)
        and (node.attr if isinstance(node, ast.Attribute) else node.id) in STARTS
        and not (isinstance(node, ast.Attribute) and ast.unparse(node.value) in groups)
    ):
        yield node.lineno
    for child in ast.iter_child_nodes(node):
        yield from started(child, groups)


def _is_group(item: ast.withitem) -> bool:
    return ast.unparse(item.context_expr) in ("asyncio.TaskGroup()", "TaskGroup()")


def test_only_the_kit_starts_background_tasks() -> None:
    assert len(sources()) > 100
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in sources()
        if any(name in path.read_text() for name in STARTS)  # most files are not worth parsing
        for line in started(ast.parse(path.read_text()))
    }
    assert found == set()


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("import asyncio\nasyncio.create_task(work())", [2]),
        ("loop.create_task(work())", [1]),
        ("from asyncio import ensure_future as start", [1]),
        ("start = asyncio.ensure_future", [1]),
        ("async def f():\n async with asyncio.TaskGroup() as group:\n  group.create_task(work())", []),
        ("async def f():\n async with asyncio.TaskGroup() as group:\n  asyncio.create_task(work())", [3]),
        ("async def f():\n async with asyncio.TaskGroup() as group:\n  pass\n group.create_task(work())", [4]),
    ],
)
def test_what_counts_as_a_start(code: str, lines: list[int]) -> None:
    assert list(started(ast.parse(code))) == lines
