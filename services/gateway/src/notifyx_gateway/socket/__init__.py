"""The Phoenix Channels v2 socket, over WebSockets and over long poll.

``frames`` and ``protocol`` are pure; connections and channels are thin shells around them. It may use ``delivery``,
``addressee``, ``upstream`` and what is below them; ``rest`` and ``socket`` never use each other.
"""
