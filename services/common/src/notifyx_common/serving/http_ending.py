"""How a connection ends whose client may still be sending: it is answered first, and gets no reset in place of that.

Data that arrives at a closed socket resets the connection, and the client may lose the answer. Nor is the stream ended
before: some clients close theirs at once then, and cannot send what is left of a body. So the connection *lingers*:
what comes is dropped, until the client has closed or the time for it is over.
"""

from __future__ import annotations

from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.events import Closed

from notifyx_common.serving.http1 import Http1
from notifyx_common.serving.http_deadlines import Deadlines
from notifyx_common.serving.http_output import Output


class Ending:
    """The end of one connection."""

    __slots__ = ("_close_timeout", "_deadlines", "_drops_all", "_group", "_output", "_protocol", "lingers")

    def __init__(
        self, protocol: Http1, output: Output, deadlines: Deadlines, group: TaskGroup, close_timeout: float
    ) -> None:
        """``group`` runs what tells the app that its client has gone."""
        self._protocol = protocol
        self._output = output
        self._deadlines = deadlines
        self._group = group
        self._close_timeout = close_timeout
        self.lingers = self._drops_all = False

    def closed_by_protocol(self) -> None:
        """End after the last answer of the connection, or after the refusal of what is no HTTP."""
        if self._protocol.is_broken:
            self.linger()
            self._notify_app()
        elif self._protocol.awaits_body:
            self.linger()
        else:
            self._output.end()

    def reject(self, status: int) -> None:
        """Answer in the place of the app, which is notified that the client has gone, and end."""
        answer = self._protocol.rejection(status)
        if not answer or self._output.is_closing:
            self._output.end()
            return
        self._output.write_now(answer)
        self.linger()
        self._notify_app()

    def linger(self) -> None:
        """End once the client has closed, or has sent the body of the request that has been answered.

        What is not the body of a request is dropped without an end.
        """
        if self.lingers or self._output.is_closing:
            return
        self.lingers = True
        if not self._protocol.awaits_body:
            self.drop_all()
        self._deadlines.within(self._close_timeout)

    def discard(self, data: bytes = b"") -> None:
        """Drop ``data``, which came while the connection lingers."""
        if not self._drops_all and self._protocol.discard(data):
            self._output.end()

    def drop_all(self) -> None:
        """Drop what was received, and all that comes: it has no end that this port understands."""
        self._drops_all = True
        self._protocol.drop_received()

    def _notify_app(self) -> None:
        """Notify the app, which holds what it has of a body, that the rest does not come."""
        self._group.spawn(self._protocol.handle, Closed())
