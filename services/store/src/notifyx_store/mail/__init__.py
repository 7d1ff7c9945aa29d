"""The email outbox: what is due to whom, leases, results, and one-click unsubscribing.

``outbox_rules`` is pure. The store decides which email is due and never sends any. It may use ``topics`` and ``base``.
"""
