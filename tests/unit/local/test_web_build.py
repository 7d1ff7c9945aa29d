"""When the web client is built, and the reason given when it cannot be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from notifyx_local import web_build
from notifyx_local.web_build import BuildFailed, build_web, is_current, output_folder, stamp


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "web"
    (folder / "src").mkdir(parents=True)
    (folder / "public").mkdir()
    for name in ("package.json", "package-lock.json", ".npmrc", "index.html", "vite.config.ts", "tsconfig.json"):
        (folder / name).write_text(name)
    (folder / "src" / "main.tsx").write_text("main")
    return folder


def built(source: Path) -> None:
    """As a finished build leaves it."""
    (output_folder(source)).mkdir()
    (output_folder(source) / "index.html").write_text("page")
    (output_folder(source) / ".stamp").write_text(stamp(source))


def test_a_build_is_of_its_sources(source: Path) -> None:
    assert not is_current(source)
    built(source)
    assert is_current(source)
    (source / "node_modules").mkdir()
    (source / "node_modules" / "x").write_text("no source")
    assert is_current(source)
    (source / "src" / "main.tsx").write_text("changed")
    assert not is_current(source)


def test_a_file_that_moves_is_a_change(source: Path) -> None:
    built(source)
    (source / "src" / "main.tsx").rename(source / "src" / "other.tsx")
    assert not is_current(source)


async def test_a_build_that_fails_says_why_and_leaves_the_one_before(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\necho 'npm error code E404'\necho 'npm error 404 no such package'\nexit 1\n")
    (tmp_path / "bin" / "node").write_text("#!/bin/sh\necho v99.1.0\n")
    for program in npm.parent.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:{os.environ['PATH']}")
    said: list[str] = []
    with pytest.raises(BuildFailed, match=r"npm ci failed: npm error 404 no such package\. Its log: "):
        await build_web(source, tmp_path / "web.log", said.append)
    assert said == ["Installing what the web client is built with ..."]
    assert "no such package" in (output_folder(source) / web_build.REASON_FILE).read_text()
    (output_folder(source) / "index.html").write_text("the build before")
    with pytest.raises(BuildFailed):
        await build_web(source, tmp_path / "web.log", said.append)
    assert (output_folder(source) / "index.html").read_text() == "the build before"


async def test_without_node_it_says_what_to_install(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BuildFailed, match=r"needs Node\.js 20\.19 or newer"):
        await build_web(source, tmp_path / "web.log", lambda line: None)
