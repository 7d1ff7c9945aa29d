"""The feed: sends every committed notification to every gateway that watches its topic, in order, exactly once.

``core`` decides from cursors what is sent to whom; it uses neither sockets nor the database. ``server`` is its shell:
it holds the connections, reads what the core requests, and polls for rows whose wake-up was lost. Wake-ups of other
replicas come by the bus (``base.bus``); ``messages`` is the wire format.

Invariant: each message to a watcher is a contiguous run of seqs after its cursor, and moves the cursor to the end of
the run. So wake-ups and offers may be lost, repeated or reordered: they decide when something is sent, never what.
"""
