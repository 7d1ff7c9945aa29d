"""NotifyxTopic files, read as ``kubectl apply`` would: strictly, and with the place of what is wrong.

``demand`` and ``deletionPolicy`` are read and left to the operator: through the API they mean nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from notifyx.cli.exits import UsageProblem
from notifyx.shapes import EmailMode, Visibility

Name = Annotated[str, StringConstraints(max_length=128, pattern=r"^\.*[a-z0-9_-][a-z0-9._-]*$")]
Grants = tuple[Annotated[str, StringConstraints(min_length=1, max_length=320)], ...]


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_alias=True, extra="forbid", frozen=True)


class RetentionSpec(_Part):
    """How long and how many notifications are kept."""

    max_age_seconds: int = 30 * 24 * 3600
    max_count: int = 100_000


class EmailSpec(_Part):
    """The email of new subscriptions, and its delays."""

    default: EmailMode = "never"
    unread_after_seconds: int = 900
    digest_every_seconds: int = 24 * 3600


class DemandSpec(_Part):
    """The load that is expected; the operator's affair."""

    connections: int = 0
    publishes_per_second: int = 0
    emails_per_minute: int = 0


class TopicSpec(_Part):
    """``spec`` of a NotifyxTopic. Bounds of numbers and texts are the server's to judge."""

    title: str = ""
    owners: Grants = ()
    publishers: Grants = ()
    readers: Grants = ()
    visibility: Visibility = "public"
    retention: RetentionSpec = RetentionSpec()
    email: EmailSpec = EmailSpec()
    demand: DemandSpec = DemandSpec()
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    paused: bool = False


class _Metadata(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Name


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    apiVersion: Literal["notifyx.dev/v1alpha1"]  # noqa: N815 - as Kubernetes writes it
    kind: Literal["NotifyxTopic"]
    metadata: _Metadata
    spec: TopicSpec = TopicSpec()
    status: dict[str, Any] | None = None


def read_topics(path: Path, stdin: IO[str]) -> dict[str, TopicSpec]:
    """Every topic in the file ``path`` (``-``: ``stdin``), or in the ``*.yaml`` and ``*.yml`` files of a folder.

    Raises :class:`UsageProblem`.
    """
    found: dict[str, TopicSpec] = {}
    places: dict[str, str] = {}
    for place, text in _texts(path, stdin):
        for number, document in enumerate(_documents(place, text), 1):
            where = f"{place}, document {number}"
            if document is None:
                continue
            name, spec = _parse(where, document)
            if name in found:
                raise UsageProblem(f"The topic '{name}' is in {places[name]} and in {where}; remove one of them.")
            found[name], places[name] = spec, where
    if not found:
        raise UsageProblem(f"There is no NotifyxTopic in {path}.")
    return found


def _texts(path: Path, stdin: IO[str]) -> list[tuple[str, str]]:
    if str(path) == "-":
        return [("standard input", stdin.read())]
    try:
        folder = sorted(path.iterdir()) if path.is_dir() else None
        files = [path] if folder is None else [file for file in folder if file.suffix in (".yaml", ".yml")]
        return [(str(file), file.read_text(encoding="utf-8")) for file in files]
    except OSError as error:
        raise UsageProblem(f"{error.filename or path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise UsageProblem(f"{path} is not in UTF-8.") from None


def _documents(place: str, text: str) -> list[Any]:
    import yaml  # noqa: PLC0415 - takes a while to load, and only this needs it

    try:
        return list(yaml.safe_load_all(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        spot = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise UsageProblem(f"{place}{spot}: this is not valid YAML ({error.problem}).") from None
    except yaml.YAMLError as error:
        raise UsageProblem(f"{place} cannot be read as YAML ({error}).") from None


def _parse(where: str, document: Any) -> tuple[str, TopicSpec]:
    if not isinstance(document, Mapping):
        raise UsageProblem(f"{where}: a NotifyxTopic is a mapping of fields.")
    if document.get("kind") not in (None, "NotifyxTopic"):
        raise UsageProblem(f"{where} is a {document['kind']}; only NotifyxTopics can be applied here.")
    try:
        # By JSON's own types: a number is not taken for text, nor text for a number. YAML's times become text.
        read = _Document.model_validate_json(json.dumps(document, default=str), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the document"
        message = "there is no such field" if first["type"] == "extra_forbidden" else first["msg"].lower()
        raise UsageProblem(f"{where}: {field}: {message}.") from None
    except (TypeError, ValueError):
        raise UsageProblem(f"{where} holds what JSON has no form for.") from None
    return read.metadata.name, read.spec
