"""The feed: what gateways watch at the store, and what the store pushes to them.

A WebSocket at :data:`FEED`. Every message is one text frame; the first line is a JSON object.

From the gateway::

    {"op": "watch", "topics": {"<name>": {"id": "<topic id>", "after": <seq>}}}  start (or restart) after that seq
    {"op": "unwatch", "topics": ["<name>", ...]}
    {"op": "watch_users", "users": ["<user id>", ...]}      and   {"op": "unwatch_users", ...}
    {"op": "ping", "n": 1}

From the store::

    {"type": "rows", "topic": "<name>", "from": a, "to": b, "count": n, "published_ms": <epoch ms of the oldest>}
        followed by n lines, each the JSON of one notification (:class:`Notification`), ascending by seq. It covers
        every seq in [a, b]: one that is missing among the lines no longer exists (expired). For each watched
        topic a is always the previous b + 1 (or the watch's after + 1): contiguous, without overlap.
    {"type": "acked", "topic": "<name>", "user": "<id>", "up_to": n, "seqs": [...], "unread": n}
    {"type": "subscriptions", "user": "<id>"}               the user's set of subscriptions changed
    {"type": "topic_deleted", "topic": "<name>"}            (the watch has ended)
    {"type": "topic_changed", "topic": "<name>"}            permissions or settings changed: check joins again
    {"type": "pong", "n": 1}
"""

from __future__ import annotations

from notifyx_common.contracts.call import V1

FEED = f"{V1}/feed"
"""The path of the WebSocket."""
