"""``notifyx topics``: list, show, create, apply, delete."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from notifyx.cli.exits import Incomplete, UsageProblem
from notifyx.cli.options import DEFAULT_URL, EmailChoice, Format, Output, Url
from notifyx.cli.output import Writer, duration, moment
from notifyx.cli.session import client, run
from notifyx.cli.topic_changes import changes, creation
from notifyx.cli.topic_files import read_topics
from notifyx.client import Client
from notifyx.errors import Conflict, NotFound, NotifyxError
from notifyx.models import Topic, User
from notifyx_topics.resource import TopicSpec

app = typer.Typer(no_args_is_help=True, help="Topics: what is published to.")


class VisibilityChoice(StrEnum):
    """Who may read."""

    public = "public"
    private = "private"


@app.command("list")
def list_(
    containing: Annotated[str, typer.Option(help="Only names that contain this.")] = "",
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """List the topics you may read."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            found = [topic async for topic in notifyx.topics(containing or None)]
        if writer.is_json:
            writer.line({"items": found})
        elif found:
            rows = [(topic.name, topic.title, topic.visibility, topic.last_seq, _owner(topic)) for topic in found]
            writer.table(("NAME", "TITLE", "VISIBILITY", "LAST SEQ", "OWNER"), rows)
        else:
            writer.text("There are no topics you may read.")

    run(output, work)


@app.command()
def show(name: str, url: Url = DEFAULT_URL, output: Output = Format.text) -> None:
    """Show a topic."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            writer_topic(writer, await notifyx.topic(name))

    run(output, work)


@app.command()
def create(
    name: str,
    title: Annotated[str, typer.Option(help="What people see.")] = "",
    visibility: Annotated[VisibilityChoice, typer.Option(help="Who may read.")] = VisibilityChoice.public,
    publisher: Annotated[
        list[str] | None, typer.Option(help="Who else may publish: a user id, an email address, or * (repeat it).")
    ] = None,
    reader: Annotated[list[str] | None, typer.Option(help="Who may read a private topic (repeat it).")] = None,
    email: Annotated[EmailChoice, typer.Option(help="Email of new subscriptions.")] = EmailChoice.never,
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Create a topic; you become its creator."""

    async def work(writer: Writer) -> None:
        fields: dict[str, Any] = {
            "title": title,
            "visibility": visibility.value,
            "publishers": publisher or [],
            "readers": reader or [],
            "email": {"default": email.value},
        }
        async with client(url) as notifyx:
            topic = await notifyx.create_topic(name, **fields)
        writer.result(topic, f"Created {topic.name}.")

    run(output, work)


@app.command()
def apply(
    file: Annotated[
        Path, typer.Option("--file", "-f", help="NotifyxTopic file, folder of such files, or - for standard input.")
    ],
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Create or change topics so that they are what the files say, as kubectl apply would."""

    async def work(writer: Writer) -> None:
        specs = read_topics(file, sys.stdin)
        results: list[dict[str, Any]] = []
        errors: list[NotifyxError] = []
        async with client(url) as notifyx:
            me = await notifyx.me()
            for name, spec in specs.items():
                try:
                    result = await _apply(notifyx, name, spec, me)
                except NotifyxError as error:
                    errors.append(error)
                    result = {"topic": name, "result": "failed", "error": error.to_dict()}
                results.append(result)
                if not writer.is_json:
                    writer.text(_sentence(result))
        if writer.is_json:
            writer.line({"items": results})
        if len(errors) == len(specs):
            raise errors[0]
        if errors:
            raise Incomplete(f"{len(errors)} of {len(specs)} topics could not be applied.")

    run(output, work)


@app.command()
def delete(
    name: str,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = DEFAULT_URL,
    output: Output = Format.text,
) -> None:
    """Delete a topic, with all that was published to it."""

    async def work(writer: Writer) -> None:
        if not yes:
            if not sys.stdin.isatty():
                raise UsageProblem("Give --yes; there is no terminal to ask at.")
            typer.confirm(f"Delete {name} and all its notifications?", abort=True, err=True)
        async with client(url) as notifyx:
            await notifyx.delete_topic(name)
        writer.result({"topic": name, "result": "deleted"}, f"Deleted {name}.")

    run(output, work)


def writer_topic(writer: Writer, topic: Topic) -> None:
    """Write all fields of one topic."""
    if writer.is_json:
        writer.line(topic)
        return
    email, retention = topic.email, topic.retention
    rows = (
        ("name", topic.name),
        ("title", topic.title),
        ("visibility", f"{topic.visibility}{', paused' if topic.paused else ''}"),
        ("owner", _owner(topic)),
        ("publishers", ", ".join(topic.publishers) or "its owners"),
        ("readers", ", ".join(topic.readers) or ("everyone" if topic.visibility == "public" else "its owners")),
        ("kept", f"{retention.max_count} notifications, for {duration(retention.max_age_seconds)}"),
        ("email", f"{email.default} (unread after {duration(email.unread_after_seconds)}, digest every "
                  f"{duration(email.digest_every_seconds)})"),
        ("notifications", f"seq {topic.first_seq} to {topic.last_seq}" if topic.last_seq else "none yet"),
        ("created", moment(topic.created_at)),
        ("you may", ", ".join(["read", *["publish"] * topic.can_publish, *["change it"] * topic.can_manage])),
    )  # fmt: skip
    writer.table(("", ""), rows)


async def _apply(notifyx: Client, name: str, spec: TopicSpec, me: User) -> dict[str, Any]:
    created = False
    try:
        topic = await notifyx.topic(name)
    except NotFound:
        try:
            topic, created = await notifyx.create_topic(name, **creation(spec)), True
        except Conflict as error:
            if error.code != "topic_exists":
                raise
            topic = await notifyx.topic(name)  # created by another client meanwhile
    different = changes(spec, topic, me)
    if different:
        await notifyx.change_topic(name, **different)
    result = "created" if created else "changed" if different else "unchanged"
    return {"topic": name, "result": result, "fields": [] if created else sorted(different)}


def _sentence(result: dict[str, Any]) -> str:
    if result["result"] == "failed":
        return f"{result['topic']}: {result['error']['reason']}"
    fields = f" ({', '.join(result['fields'])})" if result["fields"] else ""
    return f"{result['topic']} {result['result']}{fields}"


def _owner(topic: Topic) -> str:
    return f"NotifyxTopic {topic.resource}" if topic.resource else ", ".join(topic.creators)
