"""What becomes of a whole account: another name, password or address; an address that is verified or claimed.

Such a step ends sessions and credentials in one transaction with its cause. It may use ``credentials``, ``sessions``,
``users`` and ``base``.
"""
