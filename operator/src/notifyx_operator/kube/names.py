"""The finalizer and the annotation prefix of this operator, distinct from those of other operators."""

from __future__ import annotations

FINALIZER = "notifyx.dev/topic"
"""Keeps a deleted resource until its topic is settled."""

FIELD_MANAGER = "notifyx-operator"
"""Who writes, in the managed fields of resources: the API server takes it from the user agent."""

KOPF_PREFIX = "kopf.notifyx.dev"
"""Prefix of the annotations in which Kopf stores its progress."""
