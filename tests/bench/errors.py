"""Errors of the tool; each is one sentence for whoever runs it."""

from __future__ import annotations


class CannotMeasure(Exception):
    """The case cannot be measured; the message says why."""


class LostDeliveries(CannotMeasure):
    """What was sent is missing or was refused."""


class NoPeer(Exception):
    """A peer cannot be had on this machine; the message says why."""
