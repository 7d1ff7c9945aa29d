"""What is around the simulated code in its process: jitter, logs, sizes of buffers, the collection of garbage."""

from __future__ import annotations

import gc
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from notifyx_gateway.delivery import catchup, fanout
from notifyx_gateway.socket import connection

_SILENT = structlog.make_filtering_bound_logger(logging.CRITICAL)
"""Nobody reads what simulated services log."""


SIZES = (
    (fanout, "BURST", 1_500), (fanout, "SMALL", 500), (fanout, "FOR_ANSWERS", 750),
    (catchup, "PAGE_SIZE", 5),
    (connection, "HIGH_WATER", 1_500), (connection, "LOW_WATER", 500), (connection, "LARGE", 500),
)  # fmt: skip
"""Sizes of pages and buffers: small, so that few notifications fill them."""


@contextmanager
def surroundings(seed: int) -> Iterator[None]:
    """Let production code draw its jitter from the seed, log nothing, and have small pages and buffers."""
    before, logs = random.getstate(), structlog.get_config()
    usual = [(module, name, getattr(module, name)) for module, name, _ in SIZES]
    random.seed(f"jitter {seed}")
    structlog.configure(wrapper_class=_SILENT, processors=[], logger_factory=structlog.ReturnLoggerFactory())
    for module, name, size in SIZES:
        setattr(module, name, size)
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
        for module, name, size in usual:
            setattr(module, name, size)
        structlog.configure(**logs)
        random.setstate(before)
