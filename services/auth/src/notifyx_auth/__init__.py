"""Identity: users, passwords, sessions, API keys, and the access tokens that prove them to the rest of Notifyx.

The modules, from the bottom up:

- ``errors``, ``settings``, ``models``: the vocabulary.
- ``credentials``, ``throttle``, ``keys``: rules and formats; pure, except for the throttle's statements.
- ``passwords``: argon2id in a bounded thread pool.
- ``keyring``: the signing keys in the database, rotated safely by any number of replicas.
- ``users``, ``sessions``, ``api_keys``, ``verification``: one module for each kind of record.
- ``maintenance``: the periodic work.
- ``service``: the calls of ``contracts.auth`` composed of those; ``routes``: their HTTP form; ``app``: the process.
"""
