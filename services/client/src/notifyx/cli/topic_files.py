"""Reads NotifyxTopic files as strictly as ``kubectl apply``; errors name the place.

``demand``, ``deletionPolicy`` and ``successors`` are for the operator: they are accepted but have no effect through the
API.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

from notifyx.cli.exits import UsageProblem
from notifyx_topics.files import InvalidFile, read_documents
from notifyx_topics.resource import TopicSpec


def read_topics(path: Path, stdin: IO[str]) -> dict[str, TopicSpec]:
    """Read every topic in the file ``path`` (``-``: ``stdin``), or in the ``*.yaml`` and ``*.yml`` files of a folder.

    Raises :class:`UsageProblem`.
    """
    found: dict[str, TopicSpec] = {}
    places: dict[str, str] = {}
    for place, text in _texts(path, stdin):
        try:
            for where, topic in read_documents(place, text):
                if topic.name in found:
                    raise UsageProblem(
                        f"The topic '{topic.name}' is in {places[topic.name]} and in {where}; remove one of them."
                    )
                found[topic.name], places[topic.name] = topic.spec, where
        except InvalidFile as error:
            raise UsageProblem(error.reason) from None
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
