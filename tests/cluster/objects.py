"""The cluster's objects by way of the Kubernetes client: to look many times a second, kubectl is too slow a start."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kubernetes.client.exceptions import ApiException
from kubernetes.config import new_client_from_config
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.resource import Resource
from urllib3.exceptions import HTTPError

from cluster.waiting import CommandFailed

Object = dict[str, Any]
MANAGER = "notifyx-tests"
DEADLINE = 30.0


class Missing(CommandFailed):
    """There is no such object, or no such kind."""


class Objects:
    """Reads and writes objects of every kind, named as kubectl names them (``pods``, ``pod``, ``po``, ``Pod``).

    Safe to use from several threads. Each method raises :class:`CommandFailed` when the API server refuses or does not
    answer.
    """

    def __init__(self, kubeconfig: Path) -> None:
        client = new_client_from_config(str(kubeconfig))  # type: ignore[no-untyped-call]
        # It would keep the kinds in a file, where another cluster at this address found them: here it cannot.
        with _telling("the kinds of objects"):
            self._client = DynamicClient(client, str(kubeconfig / "none"))  # type: ignore[no-untyped-call]
        self._kinds: dict[str, Resource] = {}
        self._lock = threading.Lock()

    def get(self, kind: str, name: str, namespace: str = "") -> Object:
        """One object. Raises :class:`Missing`."""
        return self._call("get", self._kind(kind), name, namespace)

    def list(self, kind: str, namespace: str = "", selector: str = "") -> list[Object]:
        """The objects of a kind in a namespace, or in all of them."""
        resource = self._kind(kind)
        query = [("labelSelector", selector)] if selector else []
        found = self._call("get", resource, "", namespace, query_params=query)
        # A list says once for all of them what they are.
        each = {"apiVersion": resource.group_version, "kind": resource.kind}
        return [{**each, **item} for item in found["items"]]

    def apply(self, document: Mapping[str, Any], namespace: str = "") -> None:
        """Server-side apply, as the only one who decides on the fields in ``document``."""
        metadata = document["metadata"]
        self._call(
            "patch", self._kind(document["kind"]), metadata["name"], metadata.get("namespace", namespace),
            body=json.dumps(document), content_type="application/apply-patch+yaml",
            query_params=[("fieldManager", MANAGER), ("force", "true"), ("fieldValidation", "Strict")],
        )  # fmt: skip

    def merge(self, kind: str, name: str, patch: Mapping[str, Any], namespace: str = "") -> None:
        """A merge patch."""
        content = "application/merge-patch+json"
        self._call("patch", self._kind(kind), name, namespace, body=dict(patch), content_type=content)

    def _kind(self, word: str) -> Resource:
        with self._lock:
            if word not in self._kinds:
                with _telling("the kinds of objects"):
                    found = self._find(word)
                    if found is None:  # it may have been defined since
                        self._client.resources.invalidate_cache()
                        found = self._find(word)
                if found is None:
                    raise Missing(f"the cluster knows no {word!r}")
                self._kinds[word] = found
            return self._kinds[word]

    def _find(self, word: str) -> Resource | None:
        kinds = [kind for of_a_name in self._client.resources for kind in of_a_name if kind.name]
        named = [
            kind for kind in kinds if word in (kind.name, kind.singular_name, kind.kind, *(kind.short_names or ()))
        ]
        # Some are in several groups and versions; kubectl takes the core group's, and what the group prefers, too.
        return min(named, key=lambda kind: (bool(kind.group), not kind.preferred), default=None)

    def _call(self, method: str, kind: Resource, name: str, namespace: str, **options: Any) -> Object:
        path = kind.path(name=name, namespace=namespace)  # type: ignore[no-untyped-call]
        with _telling(f"{method} {path}"):
            answer = self._client.request(method, path, serialize=False, _request_timeout=DEADLINE, **options)
        found: Object = json.loads(answer.data)
        return found


@contextlib.contextmanager
def _telling(what: str) -> Iterator[None]:
    """The client's errors as ours."""
    try:
        yield
    except ApiException as error:
        failure = Missing if error.status == 404 else CommandFailed
        raise failure(f"{what}: {error.status} {_message(error.body)}") from None
    except HTTPError as error:
        raise CommandFailed(f"{what}: {error}") from None


def _message(body: str | bytes | None) -> str:
    """What a Status says, else the body as it is."""
    try:
        return str(json.loads(body or "")["message"])
    except (ValueError, KeyError, TypeError):
        return str(body)
