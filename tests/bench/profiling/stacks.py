"""The stacks that a sampling profiler has seen, as values. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

_FRAME = re.compile(r"(?P<function>.*) \((?P<file>[^()]*?)(?::\d+)?\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Frame:
    """A function on a stack, and the file that it is in: a source, or a library where its source is unknown."""

    function: str
    file: str


Stack = tuple[Frame, ...]
"""What called what: the outermost function first."""

Stacks = Counter[Stack]
"""How often each stack was seen."""


def read(folded: str) -> Stacks:
    """Return the stacks of ``folded``, a line each: frames with ``;`` between them, a space, the number of samples.

    Lines of one function are the same frame. A line without a number is left out: a process that runs on while its
    memory is read may give a file or a function any name.
    """
    found: Stacks = Counter()
    for line in folded.splitlines():
        frames, _, samples = line.rpartition(" ")
        if samples.isdecimal():
            found[tuple(_frames(frames))] += int(samples)
    return found


def _frames(text: str) -> Iterator[Frame]:
    """Yield the frames of one line. Names of Rust's types have semicolons too: a frame ends with its file."""
    begun = ""
    for part in text.split(";"):
        begun = f"{begun};{part}" if begun else part
        if match := _FRAME.fullmatch(begun):
            yield Frame(match["function"], match["file"])
            begun = ""
    if begun:
        yield Frame(begun, "")
