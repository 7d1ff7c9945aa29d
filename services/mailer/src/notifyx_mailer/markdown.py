"""Renders the Markdown of a notification's body to HTML for an email. Pure; may be used from several threads.

The dialect is that of the web client: CommonMark with GitHub's tables, strikethrough, task lists and bare links. HTML
in it is text. Links lead to web pages and mail addresses only; a picture becomes a link to it, because loading it
would tell its host who reads the email. What the parser wrote passes a sanitizer that knows the same short list of
elements, so that a fault of either is not enough for foreign markup.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup, escape

TABLE_CELLS = 5_000
"""Lines times columns from which on a body is read without tables: its empty cells would be filled in."""

ADDRESSES = 200
"""Bare web addresses above which they are found in the finished text alone: each is looked for in all text before it.
``*`` and ``_`` within one are then emphasis."""

INLINE_DEPTH = 12
"""Emphasis within emphasis is rendered down to this depth."""

_WITHIN_LINK = "within_link"
"""Whether a picture stands within a link."""

_TAGS = {
    "a", "blockquote", "br", "code", "del", "div", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_PARAGRAPHS = {"h3", "h4", "h5", "h6", "p", "td", "th"}
_CONTAINERS = {"blockquote", "li", "ol", "table", "ul"}
_ATTRIBUTES: dict[str, set[str]] = {
    **{tag: {"dir"} for tag in _PARAGRAPHS | _CONTAINERS},
    "a": {"href"}, "ol": {"dir", "start"}, "td": {"dir", "style"}, "th": {"dir", "style"},
}  # fmt: skip
_LINK = re.compile(r"(?:https?://|mailto:)[^\s<>\"']+", re.IGNORECASE)
_BARE_LINK = re.compile(r"https?://|www\.|mailto:", re.IGNORECASE)
_TASK = re.compile(r"\[[ xX]\]\s")
_HEADINGS = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6"}
"""The first levels are those of the email."""


def parse(source: str) -> list[Token]:
    """Return the blocks of a body."""
    source = printable(source)
    columns = max((line.count("|") for line in source.split("\n")), default=0)
    tables = columns * source.count("\n") <= TABLE_CELLS
    return _PARSERS[tables, source.count("://") <= ADDRESSES].parse(source)


def printable(text: str) -> str:
    """Return ``text`` without lone surrogates and control characters, except line ends and tabs."""
    unix = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", "", unix)


def to_html(tokens: Sequence[Token]) -> Markup:
    """Return parsed Markdown as HTML that needs nothing from elsewhere and runs nothing."""
    return Markup(  # noqa: S704 - sanitized right here
        nh3.clean(
            _COMPLETE.renderer.render(tokens, _COMPLETE.options, {}),
            tags=_TAGS,
            attributes=_ATTRIBUTES,
            url_schemes={"http", "https", "mailto"},
            filter_style_properties={"text-align"},
            link_rel="noopener noreferrer",
        )
    )


def _parser(*, tables: bool, addresses: bool) -> MarkdownIt:
    parser = MarkdownIt("gfm-like", {"html": False, "breaks": True})
    parser.core.ruler.push("simplify", _simplify)
    parser.core.ruler.push("direct", _direct)
    parser.add_render_rule("image", _picture)
    parser.add_render_rule("table_open", _table)
    parser.add_render_rule("table_close", _table)
    # All links are read, so that those that lead elsewhere leave their text alone: see :func:`_inline`.
    parser.validateLink = lambda url: True  # type: ignore[method-assign] # as documented
    if not tables:
        parser.disable("table")
    if not addresses:
        parser.inline.ruler.disable("linkify")
    return parser


def _simplify(state: StateCore) -> None:
    for at, token in enumerate(state.tokens):
        if token.type in ("heading_open", "heading_close"):
            token.tag = _HEADINGS.get(token.tag, token.tag)
        if token.children:
            token.children = list(_inline(token.children))
            if at >= 2 and state.tokens[at - 2].type == "list_item_open" and _TASK.match(token.content):
                _show_task(token.content, token.children)


def _direct(state: StateCore) -> None:
    """Give each block the direction of its own text.

    A paragraph leaves that to the mail program. It does not look into paragraphs to find the direction of what is
    around them, on whose side the bullets and the bar of a quotation stand: that of its first letter is set here.
    """
    undecided: list[Token] = []
    for token in state.tokens:
        if token.nesting == 1 and token.tag in _PARAGRAPHS:
            token.attrSet("dir", "auto")
        elif token.nesting == 1 and token.tag in _CONTAINERS:
            undecided.append(token)
        elif token.nesting == -1 and undecided and token.level == undecided[-1].level and token.tag in _CONTAINERS:
            undecided.pop()
        elif token.type == "inline" and undecided and (direction := _direction(token.content)):
            for container in undecided:
                container.attrSet("dir", direction)
            undecided.clear()


def _direction(text: str) -> str:
    """Return the direction of the first letter; empty without one."""
    for character in text:
        match unicodedata.bidirectional(character):
            case "L":
                return "ltr"
            case "R" | "AL":
                return "rtl"
    return ""


def _show_task(content: str, children: list[Token]) -> None:
    """Put a box in place of the brackets with which an item of a list begins."""
    box = "\N{BALLOT BOX}" if content[1] == " " else "\N{BALLOT BOX WITH CHECK}"
    children[0].content = children[0].content[3:]
    children.insert(0, Token("text", "", 0, content=box))


def _inline(children: Sequence[Token]) -> list[Token]:
    kept: list[Token] = []
    depth = links = 0
    dropped_link = False
    for at, token in enumerate(children):
        if token.type == "link_open":
            # `backup.py` is a file's name, though .py is a domain; as on GitHub, a bare link begins with www or http.
            text = children[at + 1].content if token.markup == "linkify" else "@"
            dropped_link = not _leads(token.attrGet("href")) or not (_BARE_LINK.match(text) or "@" in text)
        if dropped_link and token.type in ("link_open", "link_close"):
            dropped_link = token.type == "link_open"
            continue
        if token.type == "image":
            token.meta[_WITHIN_LINK] = links > 0
            if not _leads(token.attrGet("src")):
                token.attrSet("src", "")
        if token.type.startswith("link_"):
            links += token.nesting
        elif token.nesting:
            depth += max(token.nesting, 0)
            keep = depth <= INLINE_DEPTH
            depth += min(token.nesting, 0)
            if not keep:
                continue
        kept.append(token)
    return kept


def _leads(address: str | int | float | None) -> bool:
    """Return whether a link or a picture leads to a web page or a mail address."""
    return _LINK.fullmatch(str(address or "")) is not None


def _picture(renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    """Return a link to the picture; its description alone within another link, or without an address."""
    text, address = escape(picture_text(tokens[at])), tokens[at].attrGet("src")
    if tokens[at].meta[_WITHIN_LINK] or not address:
        return str(text)
    return f'<a href="{escape(str(address))}">{text}</a>'


def _table(renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    """Return the tag of a table with that of a box in which it can be scrolled where the screen is narrower."""
    tag = renderer.renderToken(tokens, at, options, env)
    return f"<div>{tag}" if tokens[at].nesting == 1 else f"{tag}</div>"


def picture_text(token: Token) -> str:
    """Return the description of a picture."""
    return token.content.strip() or "Picture"


_PARSERS = {
    (tables, addresses): _parser(tables=tables, addresses=addresses)
    for tables in (True, False)
    for addresses in (True, False)
}
_COMPLETE = _PARSERS[True, True]
