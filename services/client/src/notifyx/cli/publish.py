"""``notifyx publish`` and ``notifyx send``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from notifyx.cli.exits import UsageProblem
from notifyx.cli.lines import publish_lines
from notifyx.cli.options import DEFAULT_URL, Format, Output, PriorityChoice, Url
from notifyx.cli.output import Writer
from notifyx.cli.session import client, run
from notifyx.publishing import Message, new_key

MAX_TEXT_BYTES = 1 << 20
"""Maximum text of one notification from a file or standard input, in bytes; the server's own limit is lower."""

Text = Annotated[str | None, typer.Argument(help="The text; - or nothing: standard input.", show_default=False)]
File = Annotated[Path | None, typer.Option("--file", "-f", help="Read the text from this file.")]
Title = Annotated[str, typer.Option(help="The title.")]
Priority = Annotated[PriorityChoice, typer.Option(help="How urgent it is.")]
Data = Annotated[str, typer.Option(help="A JSON object for programs.")]
Key = Annotated[str, typer.Option(help="Idempotency key: with the same one it is published once.")]


def publish(
    topic: str,
    text: Text = None,
    file: File = None,
    lines: Annotated[bool, typer.Option("--lines", help="Each line is a notification of its own.")] = False,
    title: Title = "",
    priority: Priority = PriorityChoice.normal,
    data: Data = "",
    key: Key = "",
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Publish to a topic: an argument, a file, or standard input.

    With --lines, --key is the beginning of each line's key: publishing the same lines again publishes nothing twice.
    """

    async def work(writer: Writer) -> None:
        parsed = _data(data)
        if lines:
            if text not in (None, "-"):
                raise UsageProblem("With --lines the text comes from standard input or --file.")
            if file is None and sys.stdin.isatty():
                raise UsageProblem("Give --file, or lines on standard input.")
            template = Message(topic, "", title, parsed, priority.value, key=key)
            async with client(url) as notifyx:
                await publish_lines(notifyx, template, file, writer)
            return
        body = _text(text, file, needed=not title and parsed is None)
        async with client(url) as notifyx:
            done = await notifyx.publish(
                topic, body, title=title, data=parsed, priority=priority.value, key=key or new_key()
            )
        writer.result(done, f"Published to {done.topic} as {done.seq}.")

    run(output, work)


def send(
    who: Annotated[str, typer.Argument(help="A user's email address or id, or me.")],
    text: Text = None,
    file: File = None,
    title: Title = "",
    priority: Priority = PriorityChoice.normal,
    data: Data = "",
    key: Key = "",
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Send a notification to one user's inbox."""

    async def work(writer: Writer) -> None:
        parsed = _data(data)
        body = _text(text, file, needed=not title and parsed is None)
        async with client(url) as notifyx:
            done = await notifyx.send(
                who, body, title=title, data=parsed, priority=priority.value, key=key or new_key()
            )
        writer.result(done, f"Sent to {who}.")

    run(output, work)


def _text(text: str | None, file: Path | None, *, needed: bool) -> str:
    """Return the body; it is read from standard input if there is no other content."""
    if text is not None and file is not None:
        raise UsageProblem("Give the text or --file, not both.")
    if file is not None:
        try:
            with file.open("rb") as opened:
                return _decoded(opened.read(MAX_TEXT_BYTES + 1), str(file))
        except OSError as error:
            raise UsageProblem(f"{file} cannot be read: {error.strerror or error}.") from None
    if text == "-" or (text is None and needed):
        if sys.stdin.isatty() and text is None:
            raise UsageProblem("Give a text, a title, data, or --file.")
        return _decoded(sys.stdin.buffer.read(MAX_TEXT_BYTES + 1), "standard input")
    return text or ""


def _decoded(raw: bytes, place: str) -> str:
    if len(raw) > MAX_TEXT_BYTES:
        raise UsageProblem(f"What {place} holds is too long for one notification; did you mean --lines?")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise UsageProblem(f"What {place} holds is not in UTF-8.") from None


def _data(text: str) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageProblem(f"--data is not valid JSON: {error}.") from None
    if not isinstance(data, dict):
        raise UsageProblem("--data is a JSON object, like '{\"build\": 87}'.")
    return data
