"""Search in topics and inboxes: the index of words, filled behind the log, and pages of what was found.

``query`` and ``ranges`` are pure. It may use ``readers``, ``log``, ``topics`` and ``base``.
"""
