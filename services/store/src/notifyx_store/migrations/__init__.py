"""Tortoise migrations of the store, applied at start by :mod:`notifyx_common.database`."""
