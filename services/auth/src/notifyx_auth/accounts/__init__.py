"""What becomes of a whole account: its address is verified or claimed, the settings make it the administrator's.

Such a step ends sessions and credentials in one transaction with its cause. It may use ``credentials``, ``sessions``,
``users`` and ``base``.
"""
