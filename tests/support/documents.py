"""What the documentation shows, for the tests that run it."""

from __future__ import annotations

from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def snippets(page: str, language: str) -> list[str]:
    """The blocks of ``language`` in the page ``docs/<page>.md``."""
    text = (DOCS / f"{page}.md").read_text()
    return [part.partition("```")[0] for part in text.split(f"```{language}\n")[1:]]
