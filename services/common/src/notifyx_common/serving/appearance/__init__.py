"""The appearance of pages that a server renders: the web client's colours, fonts and mark."""

from __future__ import annotations

import base64
from importlib import resources

STYLE = resources.files(__name__).joinpath("appearance.css").read_text(encoding="utf-8")
"""The style sheet that each page begins with."""

MARK = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">'
    '<rect width="32" height="32" rx="8" fill="#0b7565"/><path d="M9 23V9l14 14V9" fill="none" stroke="#fff" '
    'stroke-width="3.2" stroke-linecap="round" stroke-linejoin="round"/></svg>'
)
"""The mark beside the name, as an element of the page."""

ICON = f"data:image/svg+xml;base64,{base64.b64encode(MARK.encode()).decode()}"
"""The mark as the icon of a window."""
