"""Entry points of installed packages, as the command line finds them."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from pathlib import Path

import pytest

from notifyx.cli import entry_points


@pytest.mark.parametrize("group", ["notifyx.commands", "console_scripts", "pytest11", "nobody.has.it"])
def test_they_are_those_that_the_standard_library_finds(group: str) -> None:
    known = {entry.name: entry.value for entry in importlib.metadata.entry_points(group=group)}
    assert entry_points.find(group) == known
    assert bool(known) is (group != "nobody.has.it")


def _package(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "entry_points.txt").write_text(text)


def test_of_a_package_that_is_there_twice_the_first_counts(tmp_path: Path) -> None:
    _package(tmp_path / "one", "a_b-2.0.dist-info", "[g]\nnew = a:new")
    _package(tmp_path / "two", "A.b-1.0.dist-info", "[g]\nold = a:old")
    _package(tmp_path / "two", "other-1.0.egg-info", "[h]\nother = x\n[g]\n# no = a:no\n\nmore=a:more [extra]\n")
    (tmp_path / "three.zip").write_bytes(b"")
    path = [str(tmp_path / name) for name in ("one", "two", "three.zip", "missing")]
    assert entry_points.find("g", path) == {"new": "a:new", "more": "a:more [extra]"}


def test_a_file_that_is_no_text_names_nothing(tmp_path: Path) -> None:
    _package(tmp_path, "a-1.0.dist-info", "")
    (tmp_path / "a-1.0.dist-info/entry_points.txt").write_bytes(b"[g]\nx = \xff")
    (tmp_path / "b-1.0.dist-info").mkdir()
    assert entry_points.find("g", [str(tmp_path)]) == {}


def test_what_an_entry_point_names_is_imported() -> None:
    assert entry_points.load("json:loads") is json.loads
    assert entry_points.load("json : decoder.JSONDecoder [extra]") is json.JSONDecoder
    assert entry_points.load("shutil") is shutil
    with pytest.raises(AttributeError):
        entry_points.load("json:nothing")
