"""A service as a process that answers HTTP: its life, its health and its routes for internal calls.

It may use ``calls`` (to register itself) and what stands below.
"""
