"""The gateway: the only service that the outside reaches.

Clients enter through ``rest`` and ``socket``. Below them, ``delivery`` follows the store's feed and fans notifications
out, ``mail`` dispatches due email, ``dashboard`` shows the deployment, and ``upstream`` calls the other services. A
room imports only rooms below its own; ``app`` puts all of them together.
"""
