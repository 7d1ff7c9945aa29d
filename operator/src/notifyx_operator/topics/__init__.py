"""NotifyxTopic resources: what a resource asks for, the plan, its application, and the status written back.

``plan``, ``claims``, ``outcomes``, ``status`` and ``deletion`` are pure. It may use ``kube``.
"""
