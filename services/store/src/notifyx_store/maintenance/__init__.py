"""Background work: expiry and retention, clean-up of old records, purge of deleted topics, the ledger.

Each pass is safe to lose and to repeat, and steps aside for people (``base.locking``). It may use ``mail``, ``topics``
and ``base``; no request waits for it.
"""
