"""Mails about accounts that wait in a stack's auth."""

from __future__ import annotations

from support.gateway import Stack
from support.patience import until


async def send_what_waits(stack: Stack) -> None:
    """Let the time pass until all are due, and wait until the gateway has sent them, or found nobody."""
    pool = stack.auth.database.pool
    await pool.execute("UPDATE account_mails SET next_at = asked_at")
    stack.gateway.account_mails.wake()

    async def none_waits() -> bool:
        return not await pool.fetch("SELECT FROM account_mails LIMIT 1")

    await until(none_waits, "all mails about accounts are sent")
