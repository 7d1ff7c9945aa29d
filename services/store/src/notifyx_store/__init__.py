"""The store: topics, subscriptions, the notification log, acknowledgements, the email outbox and the ledger.

``routes`` and ``feed`` are what other services reach, ``restored`` is what follows a restore. Below them, ``search``
finds notifications, ``readers`` holds what people do with topics, ``maintenance`` what runs in the background, ``log``
the notifications, ``mail`` the outbox, ``topics`` the topics themselves and ``base`` what all of them need. A room
imports only rooms below its own; ``app`` puts them together.
"""
