"""NotifyxTopic resources in a cluster: who claims which topic, what became of it, and the status written back.

What a resource may say and the plan of changes are in :mod:`notifyx_topics`, which other programs use as well.
``claims``, ``outcomes``, ``status`` and ``deletion`` are pure. It may use ``kube``.
"""
