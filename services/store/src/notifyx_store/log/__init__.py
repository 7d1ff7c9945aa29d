"""The notification log: committing batches of publishes, and reading history.

The plan of a batch (``publish_plan``) is pure; ``publish`` commits it in one transaction. It may use ``topics`` and
``base``.
"""
