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
from notifyx.cli.texts import STDIN, is_piped, read_text
from notifyx.publishing import Message, new_key

Text = Annotated[
    str | None, typer.Argument(help="The text; - or nothing: standard input; '': no text.", show_default=False)
]
File = Annotated[Path | None, typer.Option("--file", "-f", help="Read the text from this file; - is standard input.")]
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
            source = None if file == STDIN else file
            if source is None and not is_piped(sys.stdin):
                raise UsageProblem("Give --file, or lines on standard input.")
            template = Message(topic, "", title, parsed, priority.value, key=key)
            async with client(url) as notifyx:
                await publish_lines(notifyx, template, source, writer)
            return
        body = read_text(text, file, needed=not title and parsed is None)
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
        body = read_text(text, file, needed=not title and parsed is None)
        async with client(url) as notifyx:
            done = await notifyx.send(
                who, body, title=title, data=parsed, priority=priority.value, key=key or new_key()
            )
        writer.result(done, f"Sent to {who}.")

    run(output, work)


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
