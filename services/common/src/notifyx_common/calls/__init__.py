"""Calls to other services, to the Kubernetes API and to Prometheus: discovery, balancing and retries.

``balancer``, ``endpoint_selection``, ``hedging`` and the plan of ``scatter`` are pure. This package may import
``contracts`` and the modules below them.
"""
