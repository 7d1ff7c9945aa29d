"""The dependency audit, ``python -m support.audit UV``: known vulnerabilities of what the lock files name.

``uv audit`` asks OSV about ``uv.lock``; where OSV does not answer, PyPI is asked package by package.
``npm audit`` asks the npm registry about the web client's lock. A known vulnerability fails the audit if a version
without it exists; others are printed. Where a database does not answer, as on machines that reach package registries
only, the audit says so and passes: it must not depend on the network.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from notifyx_local.web_build import WEB_SOURCE
from support.node import node

ROOT = Path(__file__).parents[2]
SECONDS = 120
MAX_REASON = 300
PYPI = "https://pypi.org/pypi"
PYPI_SECONDS = 20


@dataclass(frozen=True)
class Vulnerability:
    """A known vulnerability of a locked package; ``fixed`` says which version is without it, if one is."""

    package: str
    name: str
    fixed: str

    def __str__(self) -> str:
        return f"{self.package}: {self.name} ({f'fixed in {self.fixed}' if self.fixed else 'no fix yet'})"


class NotAnswered(Exception):
    """The database could not be asked; the text says why."""


def python_vulnerabilities(answer: Any) -> list[Vulnerability]:
    """Return those in the JSON of ``uv audit``."""
    return [
        Vulnerability(
            f"{one['dependency']['name']} {one['dependency']['version']}",
            f"{one['display_id']}, {one['summary']}",
            ", ".join(one["fix_versions"]),
        )
        for one in answer["vulnerabilities"]
    ]


def node_vulnerabilities(answer: Any) -> list[Vulnerability]:
    """Return those in the JSON of ``npm audit``. A package that only depends on a vulnerable one is left out."""
    found = []
    for package, one in answer["vulnerabilities"].items():
        fix = one["fixAvailable"]
        fixed = f"{fix['name']} {fix['version']}" if isinstance(fix, dict) else "a newer lock file" if fix else ""
        found += [
            Vulnerability(f"{package} {one['range']}", f"{via['title']}, {via['url']}", fixed)
            for via in one["via"]
            if isinstance(via, dict)
        ]
    return found


def ask(command: Sequence[str], folder: Path) -> Any:
    """Run an audit; return its JSON. Raises :class:`NotAnswered`."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise NotAnswered(f"no answer within {SECONDS} s") from None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {}
    if "vulnerabilities" not in answer:
        reason = str(answer.get("message") or done.stderr.strip().replace("\n", "; ") or "no output")
        raise NotAnswered(reason[-MAX_REASON:])
    return answer


@dataclass(frozen=True)
class Locked:
    """A package of PyPI, as a lock file names it."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def locked(lock: Path) -> list[Locked]:
    """Return the packages of a ``uv.lock`` that come from an index."""
    found = tomllib.loads(lock.read_text())["package"]
    return [Locked(one["name"], one["version"]) for one in found if "registry" in one["source"]]


def ask_pypi(packages: Iterable[Locked], base: str = PYPI) -> tuple[list[Vulnerability], list[Locked]]:
    """Ask PyPI about each package; return what is known, and the packages that it did not answer for.

    A mirror may have only the page of a project, which speaks of its newest version. Raises :class:`NotAnswered` if
    there is no answer at all.
    """
    asked = list(packages)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda package: _pypi(base, package), asked))
    unanswered = [package for package, answer in zip(asked, answers, strict=True) if answer is None]
    if len(unanswered) == len(asked):
        raise NotAnswered(f"{base} knows no vulnerabilities")
    return [one for answer in answers for one in answer or ()], unanswered


def _pypi(base: str, package: Locked) -> list[Vulnerability] | None:
    page = _page(f"{base}/{package.name}/{package.version}/json") or _page(f"{base}/{package.name}/json")
    if page is None or "vulnerabilities" not in page or page["info"]["version"] != package.version:
        return None
    return [
        Vulnerability(str(package), f"{one['id']}, {one['summary'] or one['link']}", ", ".join(one["fixed_in"]))
        for one in page["vulnerabilities"]
        if not one.get("withdrawn")
    ]


def _page(url: str) -> Any:
    """The JSON at ``url``; ``None`` where there is no such page."""
    try:
        with urllib.request.urlopen(url, timeout=PYPI_SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise NotAnswered(f"{url}: {error}") from None
    except (OSError, ValueError) as error:
        raise NotAnswered(f"{url}: {error}") from None


def report(what: str, found: Sequence[Vulnerability]) -> bool:
    """Print the vulnerabilities; return whether none can be fixed."""
    for one in found:
        print(f"{what}: {one}", file=sys.stderr if one.fixed else sys.stdout)
    fixable = sum(bool(one.fixed) for one in found)
    print(f"{what}: {len(found)} known vulnerabilities, {fixable} of them with a fix.")
    return not fixable


def audit_python(uv: str) -> list[Vulnerability]:
    """Return what OSV, or else PyPI, knows of ``uv.lock``. Raises :class:`NotAnswered`."""
    preview = ["--preview-features", "audit-command,json-output"]
    try:
        answer = ask([uv, "audit", "--quiet", "--frozen", "--output-format", "json", *preview], ROOT)
    except NotAnswered as reason:
        packages = locked(ROOT / "uv.lock")
        found, unanswered = ask_pypi(packages)
        print(f"uv.lock: PyPI was asked, because OSV did not answer: {reason}")
        if unanswered:
            print(
                f"uv.lock: PyPI answered for {len(packages) - len(unanswered)} of {len(packages)} packages, "
                f"and not for these, which have newer versions: {', '.join(map(str, unanswered))}"
            )
        return found
    return python_vulnerabilities(answer)


def audit_node() -> list[Vulnerability]:
    """Return what the npm registry knows of the web client's lock. Raises :class:`NotAnswered`."""
    return node_vulnerabilities(ask([*node("npm"), "audit", "--json", "--package-lock-only"], WEB_SOURCE))


def main(uv: str) -> int:
    """Audit both lock files; return 1 if something can be fixed."""
    audits: dict[str, Callable[[], list[Vulnerability]]] = {
        "uv.lock": partial(audit_python, uv),
        "package-lock.json": audit_node,
    }
    clean = True
    for what, audit in audits.items():
        try:
            found = audit()
        except NotAnswered as reason:
            print(f"{what}: not audited, because the database of vulnerabilities did not answer: {reason}")
            continue
        clean = report(what, found) and clean
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
