"""Background work: expiry and retention, pruning of old records, purging of deleted topics, the ledger.

Each pass is safe to lose and to repeat, and steps aside for people (``base.locking``). It may use ``mail``, ``topics``
and ``base``; no request waits for it.
"""
