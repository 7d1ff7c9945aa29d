"""Caches: memcached, shared by all replicas, and a small tier in the process in front of it.

Losing memcached costs speed and never correctness. It uses nothing that calls or serves.
"""
