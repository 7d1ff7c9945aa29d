"""What Kopf stores in a resource to notice a changed spec: a hash of it.

Kopf's own storage keeps the whole spec in an annotation. All annotations of an object together may have 256 KiB, and a
valid NotifyxTopic can be larger: every write of Kopf would fail, and with them the removal of the finalizer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, cast

import kopf
import orjson
from kopf import Body, BodyEssence, Patch

HASH_KEY = "last-spec"
WHOLE_KEY = "last-handled"
"""Names of the annotations, after the prefix: the hash, and the whole spec that earlier versions stored."""


class HashedDiffBase(kopf.AnnotationsDiffBaseStorage):
    """Stores the SHA-256 of ``spec`` as an annotation; a change of anything else does not count."""

    def __init__(self, prefix: str) -> None:
        super().__init__(prefix=prefix, key=HASH_KEY, v1=False)
        self._hash, self._whole = f"{prefix}/{HASH_KEY}", f"{prefix}/{WHOLE_KEY}"

    def build(self, *, body: Body, extra_fields: Iterable[Any] | None = None) -> BodyEssence:
        """Return what is compared: the hash in place of the spec."""
        return _essence(_digest(body.get("spec")))

    def fetch(self, *, body: Body) -> BodyEssence | None:
        """Return what was stored last; ``None`` if nothing was."""
        annotations = body.metadata.annotations
        if (stored := annotations.get(self._hash)) is not None:
            return _essence(stored)
        if (whole := annotations.get(self._whole)) is not None:
            # The member that ``build`` never has makes Kopf store the hash, without a handler for an equal spec.
            return cast(BodyEssence, {**_essence(_digest(json.loads(whole).get("spec"))), "form": "whole"})
        return None

    def store(self, *, body: Body, patch: Patch, essence: BodyEssence) -> None:
        """Put the hash of ``essence`` into ``patch``; what an earlier version stored is removed."""
        patch.metadata.annotations[self._hash] = cast(dict[str, Any], essence)["spec"]["sha256"]
        if self._whole in body.metadata.annotations:
            patch.metadata.annotations[self._whole] = None


def _essence(digest: str) -> BodyEssence:
    return cast(BodyEssence, {"spec": {"sha256": digest}})


def _digest(spec: object) -> str:
    return hashlib.sha256(orjson.dumps(spec, option=orjson.OPT_SORT_KEYS)).hexdigest()
