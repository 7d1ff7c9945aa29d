"""Webhooks of other software: each module reads what one kind of sender posts, and makes notifications of it. Pure.

A reader raises :class:`~notifyx_common.errors.InvalidRequest` for a body that is nothing of its kind. Of a body that
is, each part (an alert, an event) becomes a notification or an error of its own: one bad part never stops the rest.
Texts that are too long are shortened and marked; an idempotency key names the event, not its wording.

May import: contracts, parameters and errors; nothing of the routes.
"""
