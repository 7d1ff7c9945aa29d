"""NotifyxPlatform resources: how many replicas each service needs, and why.

``planner``, ``bounds`` and ``decide`` are pure; ``platforms`` reads, decides and writes. It may use ``topics`` (for the
declared demand), ``probing`` (for its condition) and ``kube``.
"""
