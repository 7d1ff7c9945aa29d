"""Names in the code have no word that the glossary replaces by one of the field."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIST = re.compile(r"has none of these words.*?:\n\n((?:`\w+`[, .\n]*)+)", re.DOTALL)

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
PROSE = re.compile(r'""".*?"""|^ *#.*?$', re.DOTALL | re.MULTILINE)

STORED = {"asked_at", "expired_told", "pruned_seq", "told"}
"""Columns and fields of messages between two versions of the services: they cannot change with the code."""

LOGGERS = {"debug", "info", "warning", "error", "exception", "critical"}


@cache
def words() -> frozenset[str]:
    """Return the words that the glossary lists for this test."""
    found = LIST.search((ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"))
    assert found is not None
    return frozenset(re.findall(r"\w+", found[1]))


def parts(name: str) -> set[str]:
    """Return the words of a name in snake_case, CAPITALS or CamelCase."""
    return set(map(str.lower, WORD.findall(name)))


def names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield each name that a module gives, its log events with their fields, and its metrics, with their lines."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.alias(asname=str(name)):
                yield name, node.lineno
            case ast.Call(func=ast.Attribute(attr=level), args=[ast.Constant(value=str(event))]) if level in LOGGERS:
                yield event, node.lineno
                yield from ((field.arg, node.lineno) for field in node.keywords if field.arg is not None)
            case ast.Call(func=ast.Name(id="Metric"), args=[ast.Constant(value=str(metric)), *_]):
                yield metric, node.lineno


def wrong_names(source: str) -> list[tuple[str, int]]:
    """Return the names of a module that have a word of the list."""
    # Most modules have the words in prose alone, if at all: they need not be parsed.
    if words().isdisjoint(map(str.lower, WORD.findall(PROSE.sub("", source)))):
        return []
    return [(name, line) for name, line in names(ast.parse(source)) if name not in STORED and parts(name) & words()]


def test_names_are_the_words_of_the_field() -> None:
    sources = [*ROOT.glob("services/*/src/**/*.py"), *ROOT.glob("operator/src/**/*.py")]
    assert len(sources) > 100
    found: list[str] = []
    for source in sources:
        where = source.relative_to(ROOT)
        if "migrations" in where.parts:  # they are never written anew
            continue
        found += [f"{where}: {part}" for part in where.with_suffix("").parts[3:] if parts(part) & words()]
        found += [f"{where}:{line}: {name}" for name, line in wrong_names(source.read_text(encoding="utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "def _look(): ...",
        "class Happened: ...",
        "def send(told_before): ...",
        "MOST_TOLD = 1",
        "self._told = 1",
        "import x as wish",
        "log.info('nodes_asked')",
        "log.warning('addresses', believed_from=1)",
        "Metric('notifyx_sweeps_total', 'counter', (), 'Passes')",
    ],
)
def test_each_kind_of_name_is_found(source: str) -> None:
    assert len(wrong_names(source)) == 1


def test_other_names_pass() -> None:
    assert wrong_names("def mask(tasks, lookup): 'Look, ask and tell.'; return tasks.touch(expired_told=lookup)") == []
