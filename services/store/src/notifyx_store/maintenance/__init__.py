"""Background work: expiry and retention, clean-up of old records, purge of deleted topics, the ledger, quotas.

Each pass may be lost or repeated without harm, and gives way to requests (``base.locking``); no request waits
for it. It may use ``log``, ``mail``, ``topics`` and ``base``.
"""
