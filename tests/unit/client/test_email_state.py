"""What the command line says of email that does not arrive."""

from __future__ import annotations

from datetime import UTC, datetime

from notifyx.cli.email import describe, describe_resumed
from notifyx.cli.output import moment
from notifyx.models import EmailResumed, EmailState

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
REASON = "The SMTP server refused the recipient: 550 5.1.1 no such user"


def test_the_state_of_email_in_words() -> None:
    on = EmailState(state="on", reason="", since=None, next_try_at=None, held=0)
    assert describe(on, verified=True) == "Nothing stands against email to you."
    assert "your address is not verified" in describe(on, verified=False)
    for held, words in ((0, "sent."), (1, " 1 email waits for that."), (2, " 2 emails wait for that.")):
        assert describe(on.model_copy(update={"held": held}), verified=False).endswith(words)
    paused = describe(EmailState(state="paused", reason=REASON, since=AT, next_try_at=AT, held=1), verified=True)
    assert f"paused since {moment(AT)}, and 1 email is held: {REASON}" in paused
    assert paused.endswith(f"The next try is at {moment(AT)}.")
    stopped = describe(EmailState(state="stopped", reason=REASON, since=AT, next_try_at=None, held=3), verified=True)
    assert "3 emails are held" in stopped
    assert stopped.endswith("notifyx email --try-again.")


def test_a_new_try_in_words() -> None:
    one = EmailResumed(resumed=1, dropped=0)
    assert describe_resumed(one, verified=True) == "Your address is tried again, with 1 held email."
    unverified = describe_resumed(EmailResumed(resumed=0, dropped=0), verified=False)
    assert "not verified" in unverified
    assert "tried again" not in unverified
