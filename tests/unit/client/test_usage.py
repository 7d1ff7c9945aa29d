"""Invalid command lines: one sentence, exit code 2, and no request to a server."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from notifyx.cli import overview
from notifyx.cli.app import app
from notifyx.cli.commands import COMMANDS
from notifyx.cli.exits import Exit
from notifyx.cli.plugins import EXPECTED
from support.patience import PATIENCE

NOBODY = {"NOTIFYX_URL": "http://127.0.0.1:1", "NOTIFYX_PATIENCE": "0", "NOTIFYX_TOKEN": "", "NOTIFYX_API_KEY": ""}


@pytest.mark.parametrize(
    ("arguments", "stdin", "sentence"),
    [
        (["frobnicate"], "", "No such command"),
        (["publish"], "", "Missing argument"),
        (["publish", "t", "x", "--priority", "huge"], "", "'--priority': 'huge' is not one of 'low', 'normal'"),
        (["history", "t", "--limit", "0"], "", "'--limit': This must be at least 1."),
        (["history", "t", "--limit", "201"], "", "'--limit': This must be at most 200."),
        (["show", "t", "first"], "", "'seq': This must be a whole number."),
        (["api-keys", "create", "k", "--days", "0"], "", "'--days': This must be at least 1."),
        (["publish", "t", "x", "--data", "[1]"], "", "--data is a JSON object"),
        (["publish", "t", "x", "--data", "{"], "", "--data is not valid JSON"),
        (["publish", "t", "x", "--file", "f"], "", "Give the text or --file, not both"),
        (["publish", "t", "--file", "/nowhere"], "", "/nowhere cannot be read"),
        (["publish", "t", "--lines", "--file", "/nowhere"], "", "/nowhere cannot be read"),
        (["publish", "t", "x", "--lines"], "", "With --lines the text comes from"),
        (["publish", "t"], "x" * 1_100_000, "did you mean --lines?"),
        (["publish", "t"], "\x80", "not in UTF-8"),
        (["send", "me", "x", "--data", "1"], "", "--data is a JSON object"),
        (["subscribe", "t", "--since", "3"], "", "go with --follow"),
        (["subscribe", "t", "--follow", "--since", "then"], "", "--since takes now, unread, or a seq"),
        (["inbox", "--ack"], "", "go with --follow"),
        (["inbox", "--follow", "--unread"], "", "--since unread does"),
        (["ack", "t"], "", "Give seqs, --up-to, or --all"),
        (["ack", "t", "1", "--all"], "", "Give seqs, --up-to, or --all"),
        (["topics", "delete", "t"], "", "Give --yes"),
        (["topics", "apply", "-f", "/nowhere"], "", "/nowhere cannot be read"),
        (["topics", "apply", "-f", "-"], "a: [", "not valid YAML"),
        (["login", "--api-key"], "secret", "begin with nfx_"),
        (["login", "--api-key", "--sign-up"], "nfx_x", "without email"),
        (["login"], "", "Give --email"),
        (["account", "export", __file__], "", "--force replaces it"),
        (["login", "--email", "a@b"], "", "no password on standard input"),
        (["status", "--url", "nonsense"], "", "a URL like https://"),
        (["status", "--url", "http://ada:secret@example.com"], "", "Leave user and password out"),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, arguments: list[str], stdin: str, sentence: str) -> None:
    given = stdin.encode("latin-1")
    result = CliRunner().invoke(app, arguments, input=given, env={**NOBODY, "XDG_CONFIG_HOME": str(tmp_path)})
    assert result.exit_code == Exit.USAGE, result.output
    assert sentence in " ".join(result.output.replace("│", " ").split())
    assert "secret" not in result.output


def test_patience_is_a_number(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["status"], env={**NOBODY, "NOTIFYX_PATIENCE": "long"})
    assert (result.exit_code, "NOTIFYX_PATIENCE is a number" in result.output) == (Exit.USAGE, True)


def test_commands_that_belong_to_the_platform_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifyx.cli.entry_points.find", lambda _: {})
    result = CliRunner().invoke(app, ["up", "--port", "1"])
    assert result.exit_code == Exit.USAGE
    assert (
        result.output
        == f"notifyx: 'up' is part of the platform; install it with: pip install {EXPECTED['up'].package}\n"
    )
    assert "up" in CliRunner().invoke(app, ["--help"]).output


def test_the_help_names_every_command_and_imports_none() -> None:
    """The processor time of the help is that of its imports."""
    heavy = (
        "aiohttp",
        "markdown_it",
        "pygments",
        "rich",
        "typer.rich_utils",
        "pydantic",
        "yaml",
        "asyncio",
        "importlib.metadata",
        "notifyx.client",
        "notifyx.models",
        "notifyx_common",
    )
    script = "import sys\nfrom notifyx.__main__ import main\ntry:\n    main()\nexcept SystemExit:\n    pass\n"
    script += "sys.stderr.write('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script, "--help"], capture_output=True, text=True, check=True)
    assert [name for name in done.stderr.split() if name in heavy] == []
    assert len(done.stderr.split()) < 190, "a help of few words imports few modules"
    assert [name for name in (*COMMANDS, *EXPECTED) if f" {name} " not in done.stdout] == []


@pytest.mark.parametrize(("encoding", "box"), [("utf-8", "╭─╮│╰╯"), ("ascii", "+-+|++")])
def test_the_help_fits_the_terminal(encoding: str, box: str) -> None:
    """In colour and without, and where a terminal cannot show the lines of a panel."""
    widths = {"COLUMNS": "60", "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "notifyx", "--help"]
    done = subprocess.run(command, capture_output=True, check=True, env={**os.environ, **widths}, timeout=PATIENCE)
    lines = done.stdout.decode(encoding).splitlines()
    assert max(map(len, lines)) == 60
    assert {line[0] for line in lines if line} == {" ", *box[0], box[3], box[4]}
    assert {len(line) for line in lines if line.startswith(tuple(box))} == {60}


def test_the_help_has_colours_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

    shown: dict[str, str] = {}
    for no_colour in ("", "1"):
        monkeypatch.setenv("NO_COLOR", no_colour)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr("sys.stdout", terminal := Terminal())
        overview.write("Usage", "What it is.", [("--help", "Show it.")], [("up", "Run it.")])
        shown[no_colour] = terminal.getvalue()
    assert "\x1b[1;36mup\x1b[0m" in shown[""]
    assert re.sub(r"\x1b\[[\d;]*m", "", shown[""]) == shown["1"]


@pytest.mark.parametrize("name", [*COMMANDS, "up"])
def test_the_list_says_of_a_command_what_it_says_of_itself(name: str) -> None:
    listed = get_command(app).get_command(None, name)  # type: ignore[attr-defined]
    assert listed.real().help.partition("\n\n")[0] == listed.help


def test_the_version_is_told() -> None:
    told = CliRunner().invoke(app, ["--version"])
    assert (told.exit_code, told.output) == (0, f"notifyx {version('notifyx-client')}\n")
