"""Backups of the platform: what auth and store hold, at one point in time, as one file.

``consistent`` opens that point, ``dump`` writes what it shows into an ``archive``, and ``load`` writes an archive into
empty databases. A ``place`` keeps archives. The form of the file is in ``manifest`` and ``archive``;
docs/adr/0032-one-point-for-two-databases.md says why it is so.
"""
