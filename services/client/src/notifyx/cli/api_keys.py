"""``notifyx api-keys``: credentials with which programs act in one's name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer

from notifyx.cli.options import DEFAULT_URL, Format, Output, Url
from notifyx.cli.output import Writer, moment
from notifyx.cli.session import client, run
from notifyx.models import KeyInfo

app = typer.Typer(no_args_is_help=True, help="API keys: credentials with which programs act in your name.")


class ScopeChoice(StrEnum):
    """What a key permits."""

    read = "read"
    publish = "publish"
    manage = "manage"


@app.command("list")
def list_(url: Url = DEFAULT_URL, output: Output = Format.text) -> None:
    """List your API keys; the keys themselves are not shown."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            found = await notifyx.account.api_keys()
        if writer.is_json:
            writer.line({"items": found})
        elif found:
            writer.table(("ID", "NAME", "TOPICS", "SCOPES", "EXPIRES", "LAST USED"), map(_row, found))
        else:
            writer.text("You have no API keys.")

    run(output, work)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    topic: Annotated[
        list[str] | None, typer.Option(help="A topic, or a pattern such as shop.* (repeat it; none: all topics).")
    ] = None,
    scope: Annotated[
        list[ScopeChoice] | None, typer.Option(help="What it permits (repeat it; none: read and publish).")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, max=3660, help="Days until it expires; none: never.")] = None,
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Create an API key, and print it once."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            created = await notifyx.account.create_api_key(
                name,
                topics=topic or [],
                scopes=[one.value for one in scope or (ScopeChoice.read, ScopeChoice.publish)],
                expires_at=None if days is None else datetime.now(UTC) + timedelta(days=days),
            )
            base = notifyx.url
        if writer.is_json:
            writer.line(created)
            return
        writer.text(f"id   {created.id}")
        writer.text(f"key  {created.key}")
        writer.text(f"try  curl -H 'Authorization: Bearer {created.key}' {base}/api/v1/me")
        if "publish" in created.scopes:
            name_to_try = _topic_to_try(created.topics)
            address = f"{base}/api/v1/topics/{name_to_try}/notifications"
            writer.text(f"pub  curl -H 'Authorization: Bearer {created.key}' -d Hello {address}")
            if "TOPIC" in name_to_try:
                writer.text("Write the name of a topic in place of TOPIC.")
        writer.text("The key is shown once. Programs find it in $NOTIFYX_API_KEY.")

    run(output, work)


@app.command()
def delete(key: str, url: Url = DEFAULT_URL, output: Output = Format.text) -> None:
    """Delete the API key of this id; what is open with it ends."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            await notifyx.account.delete_api_key(key)
        writer.result({"id": key, "result": "deleted"}, f"The API key {key} is deleted.")

    run(output, work)


def _topic_to_try(topics: list[str]) -> str:
    """Return the topic to publish to: a name that the key has, else one to fill in where it says TOPIC."""
    name = next((topic for topic in topics if "*" not in topic), None)
    return name or (topics[0].replace("*", "TOPIC") if topics else "TOPIC")


def _row(key: KeyInfo) -> tuple[str, ...]:
    topics, scopes = ", ".join(key.topics) or "all", ", ".join(key.scopes)
    expires = "never" if key.expires_at is None else moment(key.expires_at)
    used = "" if key.last_used_at is None else moment(key.last_used_at)
    return key.id, key.name, topics, scopes, expires, used
