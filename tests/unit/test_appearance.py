"""Pages that a server renders have the colours of the web client, which writes them in its own style sheets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from notifyx_common.serving import appearance

WEB = Path(__file__).parents[2] / "services" / "web"
APP = (WEB / "src" / "app" / "app.css").read_text()

OF_THE_WEB_CLIENT = {
    "body": "--mantine-color-body",
    "dimmed": "--mantine-color-dimmed",
    "link": "--accent-text",
    "warn": "--high",
    "bad": "--urgent",
}


def variables(text: str) -> dict[str, str]:
    return dict(re.findall(r"(--[\w-]+):\s*(#\w+)", text))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_colours_are_the_web_clients(scheme: str) -> None:
    theirs = variables(APP.split(f'data-mantine-color-scheme="{scheme}"]', 1)[1].split("}", 1)[0])
    ours = variables(
        re.split(r"@media \(prefers-color-scheme: dark\)", appearance.STYLE)[scheme == "dark"].split("}", 1)[0]
    )
    assert {name: ours[f"--{name}"] for name in OF_THE_WEB_CLIENT} == {
        name: theirs[theirs_name] for name, theirs_name in OF_THE_WEB_CLIENT.items()
    }


def test_the_mark_is_the_web_clients() -> None:
    icon = (WEB / "public" / "favicon.svg").read_text()
    assert re.findall(r'd="[^"]+"|fill="[^"]+"', appearance.MARK) == re.findall(r'd="[^"]+"|fill="[^"]+"', icon)
