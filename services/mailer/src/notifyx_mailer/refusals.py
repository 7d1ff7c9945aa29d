"""What a mail server's refusal is about, by its enhanced status code (RFC 3463). Pure.

Only a refusal that is certainly about the address speaks against the address. A misconfigured relay, a policy, a full
mailbox or a vague ``550`` must not stop somebody's mail: such an email is tried again later, and is given up alone.
"""

from __future__ import annotations

import re
from typing import Literal

from notifyx_mailer.errors import Cause, MailError, MailFailed, MailRejected
from notifyx_mailer.render import one_line

Stage = Literal["sender", "recipient", "content"]

_ENHANCED = re.compile(r"\s*([245])\.(\d{1,3})\.(\d{1,3})\b")

# X.1.7 and X.1.8 are about the sender's address; X.1.5 is no refusal.
_ADDRESS = frozenset({(1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (1, 6), (1, 10), (2, 1)})
_CONTENT = frozenset({(2, 3), (3, 4)})  # too large for the mailbox, or for the server
_SUBJECTS: dict[int, Cause] = {1: "sender", 2: "mailbox", 3: "system", 4: "system", 5: "system", 6: "content",
                               7: "policy"}  # fmt: skip
# RFC 7504: a domain that accepts no mail answers 556.
_BARE_CODES: dict[int, Cause] = {556: "address", 552: "mailbox", 500: "system", 501: "system", 502: "system",
                                503: "system", 504: "system", 530: "system", 535: "system"}  # fmt: skip


def classify_refusal(stage: Stage, code: int, message: str) -> MailError:
    """Return the error for a refusal: permanent for the address or the email, or to be tried again."""
    reason = one_line(f"{code} {message}", 300)
    enhanced = _ENHANCED.match(message)
    if not 500 <= code <= 599 or (enhanced is not None and enhanced[1] == "4"):
        return MailFailed(f"The SMTP server answered {reason}", attempted=False, answered=True)
    detail = None if enhanced is None else (int(enhanced[2]), int(enhanced[3]))
    cause = _cause(stage, code, detail)
    if cause == "address":
        return MailRejected(f"The SMTP server refused the recipient: {reason}", about=cause)
    if cause == "content":
        return MailRejected(f"The SMTP server refused the content: {reason}", about=cause)
    # Every mailer uses this server: another one would get the same answer now.
    return MailFailed(f"The SMTP server answered {reason}", attempted=True, answered=True, about=cause)


def _cause(stage: Stage, code: int, detail: tuple[int, int] | None) -> Cause:
    if stage == "sender":
        return "sender"
    if detail is not None and detail != (0, 0):
        if detail in _ADDRESS:
            return "address"
        return "content" if detail in _CONTENT else _SUBJECTS.get(detail[0], "policy")
    if stage == "content":
        return "content"
    return _BARE_CODES.get(code, "policy")
