"""Identity: users, passwords, sessions, API keys, and the access tokens that prove them to the rest of Notifyx.

The rooms, from the bottom up; each imports only those below it:

- ``base``: settings, tables, errors, and the rules that every room uses.
- ``users``: users and their passwords. ``signing``: the keys that sign access tokens.
- ``sessions``: what a sign-in starts. ``credentials``: what programs use in a user's name.
- ``accounts``: what becomes of a whole account.
- ``maintenance``: the periodic work.
- ``service``: the calls of ``contracts.auth`` composed of those; ``routes``: their HTTP form; ``app``: the process.
"""
