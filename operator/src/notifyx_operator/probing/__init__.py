"""The prober: it publishes and receives through the gateways, as a client does, and reports whether that works.

``probe`` and ``topic`` are pure. The package may use ``settings``, and ``kube`` for conditions.
"""
