"""The mailer: renders emails and sends them through an SMTP server.

It is small and has no rooms. It may use ``notifyx_common``, and neither a database nor a cache.
"""
