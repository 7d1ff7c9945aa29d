"""Delivers the store's feed to every consumer of this node: in order, without gaps, each row encoded once per format.

``cursors`` and ``ring`` are pure. The room knows consumers as sinks only, not whether a socket or an event stream
is behind one. It may use ``upstream`` only.
"""
