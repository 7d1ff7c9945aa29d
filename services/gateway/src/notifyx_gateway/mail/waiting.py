"""Email that waited for an address to be verified."""

from __future__ import annotations

from notifyx_common.contracts.store.outbox import ReleasedMails
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger
from notifyx_gateway.upstream.store import Store

log = get_logger(__name__)


async def release_waiting(store: Store, user: str) -> ReleasedMails:
    """Have the email sent that waited for the address of ``user``. Without the store, none is released now."""
    try:
        return await store.release_mails(user)
    except NotifyxError as error:
        # The store tries one of them from time to time, and so learns of it.
        log.warning("waiting_mails_not_released", reason=error.technical)
        return ReleasedMails(released=0, dropped=0)
