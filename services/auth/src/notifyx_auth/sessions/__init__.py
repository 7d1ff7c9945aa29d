"""What a sign-in starts and what limits it: sessions, known devices, attempts to guess a password.

``refresh_tokens`` is pure. It may use ``users`` and ``base``.
"""
