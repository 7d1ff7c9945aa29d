"""The store: topics, subscriptions, the notification log, acknowledgements, the email outbox and the ledger.

``routes`` and ``feed`` are what other services reach. Below them, ``readers`` holds what people do with topics,
``upkeep`` what runs in the background, ``log`` the notifications, ``mail`` the outbox, ``topics`` the topics themselves
and ``base`` what all of them need. A room imports only rooms below its own; ``app`` puts them together.
"""
