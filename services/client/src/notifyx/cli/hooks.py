"""``notifyx hooks``: secrets with which other software sends webhooks to a topic."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from notifyx.cli.options import DEFAULT_URL, Format, Output, Url
from notifyx.cli.output import Writer, moment
from notifyx.cli.session import client, run
from notifyx.models import CreatedHook, Hook

SIGNING_SECRET = "NOTIFYX_SIGNING_SECRET"  # noqa: S105 - the name of a variable

app = typer.Typer(no_args_is_help=True, help="Webhooks: secrets with which other software sends to a topic.")


@app.command("list")
def list_(
    topic: Annotated[str | None, typer.Argument(help="Only those of this topic.")] = None,
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """List your secrets of webhooks; the secrets themselves are not shown."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            found = await notifyx.hooks(topic)
        if writer.is_json:
            writer.line({"items": found})
        elif found:
            rows = [(hook.id, hook.topic, hook.kind, hook.name, moment(hook.created_at), _used(hook)) for hook in found]
            writer.table(("ID", "TOPIC", "KIND", "NAME", "CREATED", "LAST USED"), rows)
        else:
            writer.text(f"You have no webhook secrets{'' if topic is None else ' for this topic'}.")

    run(output, work)


@app.command()
def create(
    topic: str,
    kind: Annotated[str, typer.Argument(help="alertmanager, grafana, github, gitlab, standard or apprise")],
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Create a secret, and print once what to enter at the sender.

    The sender's own signing secret is read from $NOTIFYX_SIGNING_SECRET, never from the command line.
    """

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            _write(writer, await notifyx.create_hook(topic, kind, name, _signing_secret()))

    run(output, work)


@app.command()
def rotate(hook: str, url: Url = DEFAULT_URL, output: Output = Format.text) -> None:
    """Replace a secret; the one before ends at once.

    The sender's own signing secret is read from $NOTIFYX_SIGNING_SECRET, never from the command line.
    """

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            _write(writer, await notifyx.rotate_hook(hook, _signing_secret()))

    run(output, work)


@app.command()
def delete(hook: str, url: Url = DEFAULT_URL, output: Output = Format.text) -> None:
    """End a secret."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            await notifyx.delete_hook(hook)
        if not writer.is_json:
            writer.text(f"The secret {hook} has ended.")

    run(output, work)


def _signing_secret() -> str | None:
    return os.environ.get(SIGNING_SECRET) or None


def _used(hook: Hook) -> str:
    return moment(hook.last_used_at) if hook.last_used_at is not None else ""


def _write(writer: Writer, created: CreatedHook) -> None:
    if writer.is_json:
        writer.line(created)
        return
    writer.text(f"id              {created.id}")
    writer.text(f"url             {created.url}")
    if created.signed_url is not None:
        writer.text(f"signed url      {created.signed_url}")
        writer.text(f"signing secret  {created.signing_secret}")
    writer.text(f"secret          {created.secret}")
    signed = created.signed_url is not None
    writer.text(
        "This is shown once. Enter the URL at the sender."
        + (" If it signs what it sends, enter the signed URL and the signing secret instead." if signed else "")
    )
