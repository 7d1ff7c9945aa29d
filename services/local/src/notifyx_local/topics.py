"""Reads NotifyxTopic files as strictly as ``kubectl apply``, and applies them with the operator's plan."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from notifyx_common.errors import NotifyxError
from notifyx_common.topics import AppliedAction, StoreCalls, apply, observe
from notifyx_topics.consent import Consent
from notifyx_topics.files import InvalidFile, read_documents
from notifyx_topics.plan import plan_topics
from notifyx_topics.resource import Resource

PART = "local"
_UIDS = uuid.uuid5(uuid.NAMESPACE_DNS, "local.notifyx.dev")


class InvalidTopicFile(NotifyxError):
    """A topic file is invalid; the reason names the file, the place and the problem."""

    code = "bad_topic_file"


def read_folder(path: Path) -> list[Resource]:
    """Return the resources that :func:`read_declared` finds. Raises :class:`InvalidTopicFile`."""
    return [resource for _, resource in read_declared(path).values()]


def read_declared(path: Path) -> dict[str, tuple[Path, Resource]]:
    """Read every NotifyxTopic in the file ``path``, or in the ``*.yaml`` and ``*.yml`` files of the folder ``path``.

    Return them by their reference, each with its file. Raises :class:`InvalidTopicFile`.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in (".yaml", ".yml"))
    elif path.is_file():
        files = [path]
    else:
        raise InvalidTopicFile(f"There is no topic file or folder {path}; name another with --topics.")
    found: dict[str, tuple[Path, Resource]] = {}
    for file in files:
        for resource in read_file(file):
            if resource.reference in found:
                other = found[resource.reference][0]
                where = f"twice in {file}" if other == file else f"in {other} and in {file}"
                raise InvalidTopicFile(f"The NotifyxTopic {resource.reference} is {where}; remove one of them.")
            found[resource.reference] = (file, resource)
    return found


def read_file(file: Path) -> list[Resource]:
    """Read the NotifyxTopics of one YAML file, which may hold several documents. Raises :class:`InvalidTopicFile`."""
    try:
        resources = [resource for _, resource in read_documents(str(file), file.read_text(encoding="utf-8"))]
    except InvalidFile as error:
        raise InvalidTopicFile(error.reason) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidTopicFile(f"{file} cannot be read as YAML ({error}).") from None
    # Without an API server there are no UIDs: derive them from the name, so that they stay the same.
    return [replace(resource, uid=resource.uid or str(uuid.uuid5(_UIDS, resource.reference))) for resource in resources]


async def apply_topics(store: StoreCalls, resources: Iterable[Resource]) -> list[AppliedAction]:
    """Make the store's topics match ``resources``. Raises :class:`NotifyxError` if the store does not answer."""
    # Who starts the platform with a file may have every topic in it.
    actions = plan_topics(resources, await observe(store, PART), consent=Consent(everyone=True))
    return await apply(store, actions, PART)
