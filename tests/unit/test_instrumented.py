"""Coverage by code that was kept is the coverage by code that is instrumented anew."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from slipcover import FileMatcher, Slipcover

from support.instrumented import Finder, Loader

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python measures by itself, nothing is kept")

SOURCE = """
def read(rows):
    def shown(row):
        if row < 0:
            return "less"
        elif row > 100: return "many"
        return str(row)

    found = [shown(row) for row in rows]
    for row in rows:
        if row == 7:
            found.append("seven")
            break
    else:
        found.append("none")
    while rows:
        rows = rows[1:]
    return found
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    (tmp_path / "some_measured_module.py").write_text(SOURCE)
    return tmp_path


def measured(folder: Path, rows: list[int]) -> tuple[list[str], list[dict[str, Any]]]:
    """Import the module anew, and run it: what it returns, and what slipcover knows then."""
    whole = Slipcover(branch=True, d_miss_threshold=3)
    sys.meta_path.insert(0, Finder(whole, FileMatcher(sources=[str(folder)]), folder / "kept"))
    importlib.invalidate_caches()
    module = importlib.import_module("some_measured_module")
    try:
        assert isinstance(module.__loader__, Loader)
        found = [module.read(rows) for _ in range(10)][-1]  # probes that were seen are taken out meanwhile
        assert module.read([7]) == ["7", "seven"]
    finally:
        del sys.modules["some_measured_module"]
        del sys.meta_path[0]
    whole.get_coverage()  # adds what was seen last
    return found, [dict(one) for one in (whole.code_lines, whole.code_branches, whole.all_seen)]


def test_it_is_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = measured(folder, [-1, 5, 200])
    assert new[0] == ["less", "5", "many", "none"]
    assert all(new[1])
    monkeypatch.setattr(Slipcover, "instrument", None)
    assert measured(folder, [-1, 5, 200]) == new
    assert measured(folder, [5])[1][2] != new[1][2]


def test_a_changed_source_is_read_anew(folder: Path) -> None:
    measured(folder, [1])
    (folder / "some_measured_module.py").write_text(SOURCE.replace("none", "nothing"))
    assert measured(folder, [1])[0] == ["1", "nothing"]
    assert len(list((folder / "kept").iterdir())) == 1
