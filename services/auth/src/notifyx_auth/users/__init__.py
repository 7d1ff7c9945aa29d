"""Users and their passwords: create and find a user, hash and verify a password.

``hash_turns`` is pure. argon2id runs in a bounded pool of threads (``passwords``). It may use ``base``.
"""
