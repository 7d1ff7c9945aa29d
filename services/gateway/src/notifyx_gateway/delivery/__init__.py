"""From the store's feed to every subscriber of this node: in order, without gaps, each row encoded once a format.

``cursors`` and ``ring`` are pure. The room knows subscribers as sinks, not whether a socket or an event stream is
behind one. It may use ``upstream`` only.
"""
