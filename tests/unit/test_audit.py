"""The dependency audit: what fails it, what it only tells, and what it does where nobody answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from support.audit import NotAnswered, ask, node_vulnerabilities, python_vulnerabilities, report

UV = {
    "vulnerabilities": [
        {
            "dependency": {"name": "h11", "version": "0.16.0"},
            "display_id": "GHSA-1",
            "summary": "smuggling",
            "fix_versions": fixed,
        }
        for fixed in (["0.17.0"], [])
    ]
}
NPM = {
    "vulnerabilities": {
        "vite": {
            "range": "<8.9",
            "fixAvailable": {"name": "vite", "version": "8.9.0"},
            "via": [{"title": "traversal", "url": "https://example.com/1"}, "esbuild"],
        },
        "phoenix": {
            "range": "*",
            "fixAvailable": False,
            "via": [{"title": "loop", "url": "https://example.com/2"}],
        },
        "plugin": {"range": "*", "fixAvailable": True, "via": ["vite"]},
    }
}


def test_only_what_can_be_fixed_fails(capsys: pytest.CaptureFixture[str]) -> None:
    fixable, open_ = python_vulnerabilities(UV)
    assert not report("uv.lock", [fixable, open_])
    assert report("uv.lock", [open_])
    assert report("uv.lock", [])
    said = capsys.readouterr()
    assert "h11 0.16.0: GHSA-1, smuggling (fixed in 0.17.0)" in said.err
    assert "(no fix yet)" in said.out


def test_a_package_counts_once_where_it_is_vulnerable_itself() -> None:
    assert [(one.package, one.fixed) for one in node_vulnerabilities(NPM)] == [
        ("vite <8.9", "vite 8.9.0"),
        ("phoenix *", ""),
    ]


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({"message": "405 Method Not Allowed"}, "405"),
        (None, "no output"),
    ],
)
def test_a_database_that_does_not_answer_is_told(tmp_path: Path, output: Any, reason: str) -> None:
    text = "" if output is None else json.dumps(output)
    with pytest.raises(NotAnswered, match=reason):
        ask([sys.executable, "-c", f"print({text!r})"], tmp_path)


def test_an_answer_is_read_whatever_the_exit_code(tmp_path: Path) -> None:
    program = f"import sys; print({json.dumps(UV)!r}); sys.exit(1)"
    assert ask([sys.executable, "-c", program], tmp_path) == UV
