"""Calls to other services, to the Kubernetes API and to Prometheus: who is there, whom to ask, and when to ask again.

``balancer``, ``slices`` and the plan of ``scatter`` are pure. It may use ``contracts`` and what stands below them.
"""
