"""NotifyxPlatform resources: how many replicas each service needs, and why.

``replica_plan``, ``bounds`` and ``decide`` are pure; ``platforms`` reads, decides and writes. The package may use
``topics`` (for the declared demand), ``probing`` (for its condition), ``kube`` and ``settings``.
"""
