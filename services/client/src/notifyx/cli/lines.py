"""Publishes line by line: while a batch is sent, the next lines are read.

So a file is sent in full batches, and lines that arrive slowly through a pipe are sent as they come.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO

from notifyx.cli.exits import Incomplete, UsageProblem
from notifyx.cli.output import Writer
from notifyx.client import Client
from notifyx.errors import NotifyxError
from notifyx.models import Published
from notifyx.publishing import MAX_ITEMS, Message, batches, new_key

MAX_BUFFERED_LINES = 2 * MAX_ITEMS
"""Maximum number of lines that are read while a batch is sent."""

MAX_LINE_BYTES = 1 << 20


async def publish_lines(notifyx: Client, template: Message, file: Path | None, writer: Writer) -> None:
    """Publish each line as ``template`` with that line as its body; ``template.key``, if given, is each key's prefix.

    Raises :class:`Incomplete` if some were rejected, the first error if all were, and the error that stopped it.
    """
    tally = _Tally(writer)
    with ExitStack() as stack:
        source, total = _source(stack, file)
        progress = _ProgressBar(stack, total)
        try:
            async for numbered in _read_batches(source):
                messages = {
                    number: replace(template, body=line, key=f"{template.key}-{number}" if template.key else new_key())
                    for number, line in numbered
                }
                numbers = iter(messages)
                for batch in batches(messages.values()):
                    answers = await notifyx.publish_batch(batch)
                    tally.record([(next(numbers), answer) for answer in answers])
                    progress.advance(len(batch))
        except NotifyxError as error:
            tally.stopped(error)
    tally.finish(template.topic)


class _Tally:
    """Results of the lines."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._seqs: list[int] = []
        self._rejected: list[NotifyxError] = []
        self._stopped: NotifyxError | None = None

    def record(self, answers: Iterable[tuple[int, Published | NotifyxError]]) -> None:
        """Record results and print those that are final."""
        for number, answer in answers:
            if isinstance(answer, Published):
                self._seqs.append(answer.seq)
                if self._writer.is_json:
                    self._writer.line({"line": number, **answer.model_dump(mode="json")})
            else:
                self._rejected.append(answer)
                if self._writer.is_json:
                    self._writer.line({"line": number, "error": answer.to_dict()})
                else:
                    self._writer.remark(f"line {number}: {answer.reason}")

    def stopped(self, error: NotifyxError) -> None:
        """Record the error that stopped the publishing."""
        self._stopped = error

    def finish(self, topic: str) -> None:
        """Print the summary. Raises :class:`NotifyxError` unless all lines were published."""
        done = len(self._seqs)
        if not self._writer.is_json and done:
            span = f"seq {min(self._seqs)}" if done == 1 else f"seq {min(self._seqs)} to {max(self._seqs)}"
            self._writer.text(f"Published {done} to {topic}, {span}.")
        error = self._stopped or (self._rejected[0] if self._rejected else None)
        if error is None:
            return
        if not done:
            raise error
        if self._stopped is not None:
            raise Incomplete(f"{done} were published, then it stopped: {self._stopped.reason}")
        raise Incomplete(f"{done} were published, {len(self._rejected)} refused.")


class _ProgressBar:
    """A progress bar on the terminal, from the second batch on."""

    def __init__(self, stack: ExitStack, total: int | None) -> None:
        self._stack = stack
        self._total = total
        self._done = 0
        self._show: Callable[[int], None] | None = None

    def advance(self, count: int) -> None:
        """Add ``count`` published lines."""
        self._done += count
        if self._show is None and sys.stderr.isatty() and self._total != self._done:
            from notifyx.cli.progress import bar  # noqa: PLC0415 - takes a while to load, and is rarely wanted

            self._show = self._stack.enter_context(bar(self._total))
        if self._show is not None:
            self._show(self._done)


def _source(stack: ExitStack, file: Path | None) -> tuple[IO[bytes], int | None]:
    if file is None:
        return sys.stdin.buffer, None
    try:
        opened = stack.enter_context(file.open("rb"))
        total = sum(1 for line in opened if line.strip())
        opened.seek(0)
    except OSError as error:
        raise UsageProblem(f"{file} cannot be read: {error.strerror or error}.") from None
    return opened, total


Item = tuple[int, str] | NotifyxError | None
"""A line with its number, an error, or the end of the input."""


async def _read_batches(source: IO[bytes]) -> AsyncIterator[list[tuple[int, str]]]:
    """Iterate over batches: the lines read since the last one. Raises :class:`UsageProblem` if they are not text."""
    queue: asyncio.Queue[Item] = asyncio.Queue(MAX_BUFFERED_LINES)
    loop = asyncio.get_running_loop()
    # A daemon thread: a thread of the loop's pool would keep the process alive while it waits for input.
    threading.Thread(target=_read, args=(source, queue, loop), daemon=True).start()
    while True:
        batch_lines: list[tuple[int, str]] = []
        item = await queue.get()
        while isinstance(item, tuple):
            batch_lines.append(item)
            if queue.empty() or len(batch_lines) >= MAX_ITEMS:
                break
            item = queue.get_nowait()
        if batch_lines:
            yield batch_lines
        if isinstance(item, NotifyxError):
            raise item
        if item is None:
            return


def _read(source: IO[bytes], queue: asyncio.Queue[Item], loop: asyncio.AbstractEventLoop) -> None:
    def put(item: Item) -> bool:
        try:
            asyncio.run_coroutine_threadsafe(queue.put(item), loop).result()
        except (RuntimeError, asyncio.CancelledError):
            return False  # the command has ended
        return True

    number = 0
    try:
        while raw := source.readline(MAX_LINE_BYTES):
            number += 1
            line = raw.decode().rstrip("\r\n")
            if line.strip() and not put((number, line)):
                return
    except UnicodeDecodeError:
        put(UsageProblem(f"Line {number} is not in UTF-8."))
    except (OSError, ValueError) as error:
        put(UsageProblem(f"The lines cannot be read: {error}."))
    else:
        put(None)
