"""``notifyx topics``: list, show, create, apply, delete."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from notifyx.cli.exits import Incomplete
from notifyx.cli.options import DEFAULT_URL, EmailChoice, Format, Output, Url
from notifyx.cli.output import Writer, duration, moment
from notifyx.cli.prompts import confirm
from notifyx.cli.session import client, run
from notifyx.cli.topic_changes import changes, creation, names_address
from notifyx.cli.topic_files import read_topics
from notifyx.client import Client
from notifyx.errors import Conflict, Forbidden, NotFound, NotifyxError
from notifyx.models import Topic, User
from notifyx_topics.resource import TopicSpec

MAX_NAME_REQUESTS = 20
"""Maximum number of topics of a list whose users are shown by name; the others' ids stay."""

ADDRESSES = "An email address counts once its owner has signed up with it and verified it."

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
                return
            names = await _names(notifyx, {topic.name: topic.creators for topic in found if not topic.resource})
        if found:
            rows = [
                (topic.name, topic.title, topic.visibility, topic.last_seq, _creators(topic, names)) for topic in found
            ]
            writer.table(("NAME", "TITLE", "VISIBILITY", "LAST SEQ", "CREATORS"), rows)
        else:
            writer.text("There are no topics you may read.")

    run(output, work)


@app.command()
def show(name: str, url: Url = DEFAULT_URL, output: Output = Format.text) -> None:
    """Show a topic."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            topic = await notifyx.topic(name)
            if writer.is_json:
                writer.line(topic)
                return
            names = await _names(notifyx, {name: (*topic.creators, *topic.publishers, *topic.readers)})
        _write(writer, topic, names)

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
        if names_address(fields) and not writer.is_json:
            writer.remark(ADDRESSES)

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
        addresses = False
        async with client(url) as notifyx:
            me = await notifyx.me()
            for name, spec in specs.items():
                try:
                    result, written = await _apply(notifyx, name, spec, me)
                    addresses = addresses or names_address(written)
                except NotifyxError as error:
                    errors.append(error)
                    result = {"topic": name, "result": "failed", "error": error.to_dict()}
                results.append(result)
                if not writer.is_json and (len(specs) > 1 or not errors):
                    writer.text(_sentence(result))
        if writer.is_json:
            writer.line({"items": results})
        if addresses and not writer.is_json:
            writer.remark(ADDRESSES)
        if len(errors) == len(specs):
            if writer.is_json or len(specs) == 1:
                raise errors[0]
            raise type(errors[0])("None of the topics could be applied.", code=errors[0].code)
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
            confirm(f"Delete {name} and all its notifications?")
        async with client(url) as notifyx:
            await notifyx.delete_topic(name)
        writer.result({"topic": name, "result": "deleted"}, f"Deleted {name}.")

    run(output, work)


def _write(writer: Writer, topic: Topic, names: Mapping[str, str]) -> None:
    email, retention = topic.email, topic.retention
    rows = (
        ("name", topic.name),
        ("title", topic.title),
        ("visibility", f"{topic.visibility}{', paused' if topic.paused else ''}"),
        ("creators", _creators(topic, names)),
        ("publishers", _called(topic.publishers, names) or "its creators"),
        ("readers", _called(topic.readers, names) or ("everyone" if topic.visibility == "public" else "its creators")),
        ("kept", f"{retention.max_count} notifications, for {duration(retention.max_age_seconds)}"),
        ("email", f"{email.default} (unread after {duration(email.unread_after_seconds)}, digest every "
                  f"{duration(email.digest_every_seconds)})"),
        ("notifications", f"seq {topic.first_seq} to {topic.last_seq}" if topic.last_seq else "none yet"),
        ("created", moment(topic.created_at)),
        ("you may", ", ".join(["read", *["publish"] * topic.can_publish, *["change it"] * topic.can_manage])),
    )  # fmt: skip
    writer.table(("", ""), rows)


async def _apply(notifyx: Client, name: str, spec: TopicSpec, me: User) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the result for a file's topic, and the fields that were written."""
    created = False
    try:
        topic = await notifyx.topic(name)
    except NotFound:
        try:
            topic, created = await notifyx.create_topic(name, **creation(spec)), True
        except Conflict as error:
            if error.code != "topic_exists":
                raise
            try:
                topic = await notifyx.topic(name)  # created by another client meanwhile
            except NotFound:
                raise Forbidden(
                    f"You cannot create or change a topic with the name '{name}'; choose another name, or ask an "
                    "administrator.",
                    code="name_not_available",
                ) from None
    different = changes(spec, topic, me)
    if different:
        await notifyx.change_topic(name, **different)
    result = "created" if created else "changed" if different else "unchanged"
    shown = {"topic": name, "result": result, "fields": [] if created else sorted(different)}
    return shown, {**(creation(spec) if created else {}), **different}


def _sentence(result: dict[str, Any]) -> str:
    if result["result"] == "failed":
        return f"{result['topic']}: {result['error']['reason']}"
    fields = f" ({', '.join(result['fields'])})" if result["fields"] else ""
    return f"{result['topic']} {result['result']}{fields}"


def _creators(topic: Topic, names: Mapping[str, str]) -> str:
    return f"NotifyxTopic {topic.resource}" if topic.resource else _called(topic.creators, names)


def _called(grants: Iterable[str], names: Mapping[str, str]) -> str:
    return ", ".join(names.get(grant, grant) for grant in grants)


async def _names(notifyx: Client, grants: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return what the users among the ``grants`` of topics are called, by id; of many topics, those of the first."""
    names = {(await notifyx.me()).id: "you"}
    requests = 0
    for topic, entries in grants.items():
        unknown = {one for one in entries if "@" not in one and one not in ("*", *names)}
        if unknown and requests < MAX_NAME_REQUESTS:
            requests += 1
            with contextlib.suppress(NotFound):  # deleted meanwhile
                found = await notifyx.topic_names(topic)
                names |= {one: found.get(one, one) for one in unknown}
    return names
