"""The names under which the operator leaves its marks on resources: its own, so that no other operator takes them."""

from __future__ import annotations

FINALIZER = "notifyx.dev/topic"
"""Holds a deleted resource until its topic is settled."""

KOPF_PREFIX = "kopf.notifyx.dev"
"""Prefix of the annotations in which Kopf keeps its progress."""
