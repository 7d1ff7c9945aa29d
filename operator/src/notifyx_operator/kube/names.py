"""The finalizer and the annotation prefix of this operator, distinct from those of other operators."""

from __future__ import annotations

FINALIZER = "notifyx.dev/topic"
"""Keeps a deleted resource until its topic is settled."""

KOPF_PREFIX = "kopf.notifyx.dev"
"""Prefix of the annotations in which Kopf stores its progress."""
