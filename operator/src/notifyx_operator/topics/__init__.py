"""NotifyxTopic resources in a cluster: which topic each claims, the outcome of a pass, and the status written back.

The schema of a resource and the plan of changes are in :mod:`notifyx_topics`, which other programs use as well.
``claims``, ``outcomes``, ``status`` and ``deletion`` are pure. The package may use ``kube`` and ``settings``.
"""
