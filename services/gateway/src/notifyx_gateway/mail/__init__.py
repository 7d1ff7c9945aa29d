"""Email that leaves through this node: due email from the store's outbox, and mails about accounts.

It leases, confirms, scatters over the mailers and records results; rendering and SMTP are the mailer's. It may use
``upstream`` and what is below that.
"""
