"""The deployment's ledger: what was due, and its outcome."""

from __future__ import annotations

from notifyx_common.contracts.call import V1, Call, Model


class LedgerRow(Model):
    """One topic's sums over its subscriptions: ``due`` must equal acked + pending + expired + withdrawn."""

    topic: str
    due: int
    acked: int
    pending: int
    expired: int
    withdrawn: int


class EmailLedger(Model):
    """``due`` must equal sent + fenced + pending + dead."""

    due: int
    sent: int
    fenced: int
    pending: int
    dead: int


class Ledger(Model):
    """The ledger of the whole deployment. ``accepted`` per topic is its last seq."""

    balanced: bool
    topics: list[LedgerRow]
    email: EmailLedger


LEDGER: Call[None, Ledger] = Call("GET", f"{V1}/ledger", type(None), Ledger, hedged=False, caller="principal")
"""For admins and system principals."""
