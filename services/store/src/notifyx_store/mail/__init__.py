"""The email outbox: due emails, leases, results, and one-click unsubscribe.

``outbox_rules`` is pure. The store decides which email is due and never sends any. It may use ``topics`` and ``base``.
"""
