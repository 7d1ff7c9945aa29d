"""The prober: it publishes and receives through the front door, as a user does, and reports whether that works.

``probe`` is pure. It may use ``kube`` for conditions only.
"""
