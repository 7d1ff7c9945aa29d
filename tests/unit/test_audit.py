"""The dependency audit: what fails it, what it only tells, and what it does where nobody answers."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from support.audit import (
    Locked,
    NotAnswered,
    ask,
    ask_pypi,
    locked,
    node_vulnerabilities,
    python_vulnerabilities,
    report,
)

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


@contextmanager
def index(pages: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """The URL of a PyPI with these pages, by ``name`` or ``name/version``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path.removeprefix("/").removesuffix("/json"))
            self.send_response(200 if page is not None else 404)
            self.end_headers()
            self.wfile.write(json.dumps(page).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def page(version: str, *vulnerabilities: dict[str, Any]) -> dict[str, Any]:
    common = {"summary": "smuggling", "link": "https://example.com", "fixed_in": []}
    return {"info": {"version": version}, "vulnerabilities": [{**common, **one} for one in vulnerabilities]}


def test_pypi_is_asked_for_the_version_or_for_the_newest_one() -> None:
    pages = {
        "h11/0.16.0": page("0.16.0", {"id": "GHSA-1", "fixed_in": ["0.17.0"]}),
        "py": page("1.11.0", {"id": "PYSEC-1"}, {"id": "PYSEC-2", "withdrawn": "2026-01-01T00:00:00Z"}),
        "grimp": page("3.20", {"id": "PYSEC-3"}),
    }
    older, missing = Locked("grimp", "3.19"), Locked("gone", "1")
    with index(pages) as url:
        found, unanswered = ask_pypi([Locked("h11", "0.16.0"), Locked("py", "1.11.0"), older, missing], url)
        with pytest.raises(NotAnswered, match="knows no vulnerabilities"):
            ask_pypi([older, missing], url)
    assert [(one.package, one.name, one.fixed) for one in found] == [
        ("h11 0.16.0", "GHSA-1, smuggling", "0.17.0"),
        ("py 1.11.0", "PYSEC-1, smuggling", ""),
    ]
    assert unanswered == [older, missing]
    with pytest.raises(NotAnswered, match=url):
        ask_pypi([older], url)


def test_what_comes_from_an_index_is_asked_about(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text(
        '[[package]]\nname = "h11"\nversion = "0.16.0"\nsource = { registry = "https://pypi.org/simple" }\n'
        '[[package]]\nname = "notifyx-auth"\nversion = "0.1.0"\nsource = { editable = "services/auth" }\n'
    )
    assert locked(tmp_path / "uv.lock") == [Locked("h11", "0.16.0")]
