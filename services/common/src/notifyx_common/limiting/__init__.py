"""Rate limits: token buckets, counted in one process or shared by all replicas.

``buckets`` and ``addresses`` are pure. A table that the replicas share is passed in: this package imports no client of
memcached.
"""
