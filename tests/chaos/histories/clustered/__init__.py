"""Histories against an installed chart on the cluster of ``make cluster``.

``bed`` is the platform there, ``offered`` the faults that it can have (pure), ``nemesis`` injects them by way of
``pods`` and ``machines``, ``mailbox`` follows the chart's mailbox. Needs the packages of the dependency group
``cluster``.
"""
