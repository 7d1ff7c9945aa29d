"""The keys that sign access tokens: ``keys`` has their rules and format, ``keyring`` keeps them in the database.

Any number of replicas rotate them safely. It may use ``base``.
"""
