"""What readers and creators do: subscribe, acknowledge, join, read their inbox, and change or delete a topic.

One transaction a call, with the topic's advisory lock held shared, so that the ledger stays exact. It may use ``log``,
``topics`` and ``base``.
"""
