"""Who someone is: users, passwords, sessions, API keys, and the tokens that prove them to the rest of Notifyx.

The modules, from the bottom up:

- ``errors``, ``settings``, ``models``: the vocabulary.
- ``secrets``, ``throttle``, ``keys``: pure rules and formats; no I/O but the throttle's one statement.
- ``passwords``: argon2id in a bounded thread pool.
- ``keyring``: the signing keys in the database, rotated safely by any number of replicas.
- ``users``, ``sessions``, ``api_keys``, ``verification``: one module a thing, each on the database.
- ``service``: the calls of ``contracts.auth`` composed of those; ``routes``: their HTTP form; ``app``: the process.
"""
