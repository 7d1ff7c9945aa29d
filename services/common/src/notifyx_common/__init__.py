"""What every Notifyx service shares: errors, settings, life cycle, discovery, balancing, caching and contracts.

Nothing here knows a service; each service depends on this package and never on another service.
"""
