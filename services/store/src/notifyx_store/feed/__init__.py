"""The feed: every committed notification to every gateway that watches its topic, in order, each exactly once.

``core`` decides what is sent to whom, from cursors, and knows nothing of sockets or of the database. ``hub`` is its
shell: it holds the connections, reads what the core asks for, and looks for what no wake-up told it of. ``listener``
brings the wake-ups of other replicas; ``messages`` is the wire form.

Invariant: what a watcher is sent is one contiguous run of seqs after its cursor, and moves the cursor by exactly
that. So wake-ups and offers may be lost, doubled or out of order: they decide when something is sent, never what.
"""
