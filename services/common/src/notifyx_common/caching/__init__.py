"""Caches: memcached, shared by all replicas, behind a small tier in each process.

Losing memcached costs speed and never correctness. This package imports neither ``calls`` nor ``serving``.
"""
