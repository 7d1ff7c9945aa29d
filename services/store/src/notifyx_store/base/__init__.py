"""What every room of the store uses: settings, database, locks, wake-ups, metrics, errors.

It uses no other room of the store.
"""
