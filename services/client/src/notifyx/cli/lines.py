"""Publishing line by line: what has been read so far goes in one batch while the next is read.

So a file goes in full batches, and what trickles through a pipe goes as it comes.
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
from notifyx.publishing import MOST_ITEMS, Message, batches, new_key
from notifyx.shapes import Published

AHEAD = 2 * MOST_ITEMS
"""Lines read while a batch is under way."""

LONGEST_LINE = 1 << 20


async def publish_lines(notifyx: Client, template: Message, file: Path | None, writer: Writer) -> None:
    """Publish each line as ``template`` with that line as its body; ``template.key`` begins each key, if given.

    Raises :class:`Incomplete` when some were refused, the first refusal when all were, and what ended the publishing.
    """
    tally = _Tally(writer)
    with ExitStack() as stack:
        source, total = _source(stack, file)
        progress = _Bar(stack, total)
        try:
            async for numbered in _gathered(source):
                messages = {
                    number: replace(template, body=line, key=f"{template.key}-{number}" if template.key else new_key())
                    for number, line in numbered
                }
                numbers = iter(messages)
                for batch in batches(messages.values()):
                    answers = await notifyx.publish_batch(batch)
                    tally.take([(next(numbers), answer) for answer in answers])
                    progress.advance(len(batch))
        except NotifyxError as error:
            tally.stopped(error)
    tally.conclude(template.topic)


class _Tally:
    """What became of the lines."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._seqs: list[int] = []
        self._refused: list[NotifyxError] = []
        self._stopped: NotifyxError | None = None

    def take(self, answers: Iterable[tuple[int, Published | NotifyxError]]) -> None:
        """Count, and tell at once what can be told."""
        for number, answer in answers:
            if isinstance(answer, Published):
                self._seqs.append(answer.seq)
                if self._writer.is_json:
                    self._writer.line({"line": number, **answer.model_dump(mode="json")})
            else:
                self._refused.append(answer)
                if self._writer.is_json:
                    self._writer.line({"line": number, "error": answer.to_dict()})
                else:
                    self._writer.remark(f"line {number}: {answer.reason}")

    def stopped(self, error: NotifyxError) -> None:
        """The rest was not published."""
        self._stopped = error

    def conclude(self, topic: str) -> None:
        """Sum up. Raises :class:`NotifyxError` unless all went well."""
        done = len(self._seqs)
        if not self._writer.is_json and done:
            span = f"seq {min(self._seqs)}" if done == 1 else f"seq {min(self._seqs)} to {max(self._seqs)}"
            self._writer.text(f"Published {done} to {topic}, {span}.")
        error = self._stopped or (self._refused[0] if self._refused else None)
        if error is None:
            return
        if not done:
            raise error
        if self._stopped is not None:
            raise Incomplete(f"{done} were published, then it stopped: {self._stopped.reason}")
        raise Incomplete(f"{done} were published, {len(self._refused)} refused.")


class _Bar:
    """A progress bar on the terminal, from the second batch on."""

    def __init__(self, stack: ExitStack, total: int | None) -> None:
        self._stack = stack
        self._total = total
        self._done = 0
        self._show: Callable[[int], None] | None = None

    def advance(self, count: int) -> None:
        """``count`` more are done."""
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
"""A line with its number, what is wrong with it, or the end."""


async def _gathered(source: IO[bytes]) -> AsyncIterator[list[tuple[int, str]]]:
    """All lines that have been read meanwhile, again and again. Raises :class:`UsageProblem` for what is no text."""
    queue: asyncio.Queue[Item] = asyncio.Queue(AHEAD)
    loop = asyncio.get_running_loop()
    # A thread of our own: one of the loop's would keep the process from ending while it waits for input.
    threading.Thread(target=_read, args=(source, queue, loop), daemon=True).start()
    while True:
        gathered: list[tuple[int, str]] = []
        item = await queue.get()
        while isinstance(item, tuple):
            gathered.append(item)
            if queue.empty() or len(gathered) >= MOST_ITEMS:
                break
            item = queue.get_nowait()
        if gathered:
            yield gathered
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
        while raw := source.readline(LONGEST_LINE):
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
