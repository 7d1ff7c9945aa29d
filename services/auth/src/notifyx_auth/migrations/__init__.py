"""Tortoise migrations of auth, applied at start by :mod:`notifyx_common.database`."""
