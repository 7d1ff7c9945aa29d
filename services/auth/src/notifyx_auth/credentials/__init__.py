"""What programs use in the name of a user: API keys, and the secrets of webhooks.

``owned_credentials`` is what the two have in common. It may use ``sessions``, ``users`` and ``base``.
"""
