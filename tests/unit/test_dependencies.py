"""Each member of the workspace names what it imports, and installs no more than it needs."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MEMBERS = {
    tomllib.loads(file.read_text())["project"]["name"]: file.parent
    for file in [*ROOT.glob("services/*/pyproject.toml"), ROOT / "operator/pyproject.toml"]
}
LOCKED: dict[str, dict[str, Any]] = {
    package["name"]: package for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]
}
DATABASE = {"tortoise-orm", "asyncpg"}
CLUSTER = {"kopf", "kubernetes"}


def named(requirements: list[str]) -> Iterator[str]:
    for requirement in requirements:
        yield re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def declared(folder: Path) -> set[str]:
    """What the member may import: its dependencies, and those of its extras."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    extras = project.get("optional-dependencies", {}).values()
    return {project["name"], *named(project["dependencies"]), *(one for extra in extras for one in named(extra))}


@cache
def distributions() -> dict[str, set[str]]:
    """The packages that hold each module that is installed."""
    return {
        module: {name.lower().replace("_", "-") for name in names} for module, names in packages_distributions().items()
    }


def folder_name(folder: Path) -> str:
    """The package of a member."""
    (package,) = (one.parent.name for one in folder.glob("src/*/__init__.py"))
    return package


def imported(folder: Path) -> set[str]:
    """The top-level modules that the member's source imports, without the standard library."""
    found: set[str] = set()
    for file in folder.glob("src/**/*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
                found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names


def installed(member: str) -> set[str]:
    """Every package that is installed with the member, by the lock file."""
    found: set[str] = set()
    waiting: list[tuple[str, tuple[str, ...]]] = [(member, ())]
    done = set()
    while waiting:
        name, extras = one = waiting.pop()
        if one in done:
            continue
        done.add(one)
        found.add(name)
        package = LOCKED[name]
        wanted = list(package.get("dependencies", []))
        for extra in extras:
            wanted += package.get("optional-dependencies", {}).get(extra, [])
        waiting += [(need["name"], tuple(need.get("extra", ()))) for need in wanted]
    return found


@pytest.mark.parametrize("member", sorted(MEMBERS))
def test_a_member_names_what_it_imports(member: str) -> None:
    known = distributions() | {folder_name(folder): {name} for name, folder in MEMBERS.items()}
    known["pydantic_core"] = {"pydantic"}  # the types of pydantic's errors are there; it pins its core
    names = declared(MEMBERS[member])
    missing = {module for module in imported(MEMBERS[member]) if not known.get(module, {module}) & names}
    assert missing == set()


@pytest.mark.parametrize(
    ("member", "without"),
    [
        ("notifyx-operator", DATABASE | {"aiomcache", "joserfc"}),
        ("notifyx-mailer", DATABASE | CLUSTER | {"aiomcache", "joserfc"}),
        ("notifyx-mailbox", DATABASE | CLUSTER | {"aiomcache", "joserfc"}),
        ("notifyx-gateway", DATABASE | CLUSTER),
        ("notifyx-auth", CLUSTER | {"aiomcache"}),
        ("notifyx-store", CLUSTER | {"aiomcache", "joserfc"}),
        ("notifyx-local", CLUSTER),
        ("notifyx-client", DATABASE | CLUSTER | {"aiomcache", "notifyx-common", "notifyx-topics", "quart"}),
    ],
)
def test_a_member_installs_no_more_than_it_needs(member: str, without: set[str]) -> None:
    assert installed(member) & without == set()


def test_the_topics_package_needs_pydantic_and_idna_alone() -> None:
    project = tomllib.loads((MEMBERS["notifyx-topics"] / "pyproject.toml").read_text())["project"]
    assert list(named(project["dependencies"])) == ["idna", "pydantic"]
