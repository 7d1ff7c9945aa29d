"""What every room of auth uses: settings, tables, errors, the forms of secrets, and the log of changes.

``password_rules`` and ``secret_formats`` are pure. It uses no other room of auth.
"""
