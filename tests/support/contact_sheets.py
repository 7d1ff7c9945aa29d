"""The pages as pictures, to be looked at before a release: ``python -m support.contact_sheets FOLDER``.

`make screenshots` has the browser tests take them (``support.browser.picture``); this adds the emails, and puts all on
sheets, a page a row: desktop and phone, light and dark.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

from support import mail_pictures
from support.browser import FORMS, running_browser

ROWS = 3
WIDTHS = {"desktop": 640, "phone": 210}
SIZE = {"width": 2 * sum(WIDTHS.values()) + 60, "height": 400}

STYLE = """
body { margin: 8px; background: #888; font: 14px sans-serif }
h2 { margin: 6px 0 2px; font-size: 14px }
div { display: flex; gap: 8px; align-items: flex-start }
"""


def sheet(folder: Path, pages: Sequence[str]) -> str:
    """Return the HTML of one sheet."""
    rows = []
    for page in pages:
        pictures = [
            f'<img alt="" width="{WIDTHS[size]}" src="{(folder / f"{page}-{size}-{scheme}.png").resolve().as_uri()}">'
            for size, scheme in FORMS
        ]
        rows.append(f"<h2>{escape(page)}</h2><div>{''.join(pictures)}</div>")
    return f"<!doctype html><style>{STYLE}</style>{''.join(rows)}"


async def write(folder: Path) -> list[Path]:
    """Add pictures of the emails to those in ``folder``, and put all on sheets; return these."""
    sheets = []
    async with running_browser() as browser:
        await mail_pictures.take(browser, folder)
        endings = [f"-{size}-{scheme}.png" for size, scheme in FORMS]
        found = {file.name.removesuffix(end) for end in endings for file in folder.glob(f"*{end}")}
        pages = sorted(found)
        view = await browser.new_page(viewport=SIZE)  # type: ignore[arg-type]  # a TypedDict
        for start in range(0, len(pages), ROWS):
            document = folder / "sheet.html"
            document.write_text(sheet(folder, pages[start : start + ROWS]))
            await view.goto(document.resolve().as_uri())
            sheets.append(folder / f"sheet-{start // ROWS + 1:02}.png")
            await view.screenshot(path=sheets[-1], full_page=True)
            document.unlink()
    return sheets


if __name__ == "__main__":
    for written in asyncio.run(write(Path(sys.argv[1]))):
        print(written)
