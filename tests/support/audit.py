"""The dependency audit, ``python -m support.audit UV``: known vulnerabilities of what the lock files name.

``uv audit`` asks OSV about ``uv.lock``, ``npm audit`` asks the npm registry about the web client's lock. A known
vulnerability fails the audit if a version without it exists; others are printed. Where a database does not answer, as
on machines that reach package registries only, the audit says so and passes: it must not depend on the network.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from notifyx_local.web_build import WEB_SOURCE
from support.node import node

ROOT = Path(__file__).parents[2]
SECONDS = 120
MAX_REASON = 300


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


def report(what: str, found: Sequence[Vulnerability]) -> bool:
    """Print the vulnerabilities; return whether none can be fixed."""
    for one in found:
        print(f"{what}: {one}", file=sys.stderr if one.fixed else sys.stdout)
    fixable = sum(bool(one.fixed) for one in found)
    print(f"{what}: {len(found)} known vulnerabilities, {fixable} of them with a fix.")
    return not fixable


def main(uv: str) -> int:
    """Audit both lock files; return 1 if something can be fixed."""
    preview = ["--preview-features", "audit-command,json-output"]
    audits = (
        ("uv.lock", [uv, "audit", "--quiet", "--frozen", "--output-format", "json", *preview], ROOT),
        ("package-lock.json", [*node("npm"), "audit", "--json", "--package-lock-only"], WEB_SOURCE),
    )
    clean = True
    for what, command, folder in audits:
        try:
            answer = ask(command, folder)
        except NotAnswered as reason:
            print(f"{what}: not audited, because the database of vulnerabilities did not answer: {reason}")
            continue
        read = python_vulnerabilities if what == "uv.lock" else node_vulnerabilities
        clean = report(what, read(answer)) and clean
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
