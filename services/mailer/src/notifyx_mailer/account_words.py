"""What the emails about an account say. Pure; none of it is HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from notifyx_common.contracts.mailer import AccountMailKind


@dataclass(frozen=True, slots=True)
class Words:
    """One kind of email. ``lines`` may hold ``{email}`` and ``{when}``; no ``button``: there is nothing to open.

    ``once``: the link works once, until a time that is shown.
    """

    heading: str
    lines: Sequence[str]
    footer: str
    button: str = ""
    once: bool = False


_YOURS = "This email is about the security of your Notifyx account. It is sent whatever email you have chosen."


def _deleted(topics: str) -> Words:
    return Words(
        heading="Your account is deleted",
        lines=(
            "Your Notifyx account was deleted {when}. Your sessions, API keys, webhooks, subscriptions, inbox and "
            "waiting emails are gone. What you published in topics of others stays there, without your name.",
            topics,
            "If it was not you, somebody knew your password: tell the administrator of this Notifyx, and change that "
            "password wherever else you use it.",
        ),
        footer="This is the last email to this account. Its address is free for a new one.",
    )


WORDS: Mapping[AccountMailKind, Words] = {
    "password_reset": Words(
        heading="Set a new password",
        lines=(
            "Somebody asked for a new password for the Notifyx account with this address. If it was you, choose one.",
            "Every device that is signed in is then signed out.",
        ),
        button="Choose a new password",
        once=True,
        footer="If you did not ask for it, ignore this email: your password stays as it is.",
    ),
    "managed_account": Words(
        heading="Your password is in the settings",
        lines=(
            "Somebody asked for a new password for the Notifyx account with this address.",
            "It is the administrator's account of this deployment. Its password is one of the deployment's settings "
            "(NOTIFYX_ADMIN_PASSWORD): change it there, and start the service again.",
        ),
        footer="If you did not ask for it, ignore this email: your password stays as it is.",
    ),
    "password_changed": Words(
        heading="Your password was changed",
        lines=(
            "The password of your Notifyx account was changed {when}. Whoever was signed in elsewhere is signed out.",
            "If it was not you, set a new password now. Then delete the API keys and webhooks that you do not know, on "
            "your account page.",
        ),
        button="Set a new password",
        footer=_YOURS,
    ),
    "email_confirmation": Words(
        heading="Confirm your new email address",
        lines=(
            "Somebody wants to use this address for their Notifyx account. If it was you, confirm it: the page asks "
            "you to sign in as before. Until then nothing changes.",
        ),
        button="Confirm this address",
        once=True,
        footer="If you did not ask for it, ignore this email: nothing changes.",
    ),
    "address_taken": Words(
        heading="This address has an account already",
        lines=(
            "Somebody wanted to use this address for another Notifyx account. It is the address of yours, so nothing "
            "was changed.",
            "If it was you, sign in with this address, or give this account another address first.",
        ),
        button="Sign in",
        footer="If you did not ask for it, ignore this email: nothing changes.",
    ),
    "email_change_requested": Words(
        heading="Your account is to get another email address",
        lines=(
            "Somebody who knows your password asked {when} that your Notifyx account uses the address {email}. It does "
            "so once that address is confirmed.",
            "If it was not you, set a new password now: that stops the change, and signs out everyone.",
        ),
        button="Set a new password",
        footer=_YOURS,
    ),
    "email_changed": Words(
        heading="Your email address was changed",
        lines=(
            "The address of your Notifyx account was changed to {email} {when}. No more email goes to this one.",
            "If it was not you, tell the administrator of this Notifyx now: somebody else has the account, and this "
            "address does not open it any more.",
        ),
        footer=_YOURS,
    ),
    "account_deleted_topics_delete": _deleted(
        "The topics that you managed alone are deleted, and their subscribers see that."
    ),
    "account_deleted_topics_keep": _deleted(
        "The topics that you managed alone remain; from now on only administrators manage them."
    ),
    "account_deleted_topics_give": _deleted(
        "The topics that you managed alone are now those of the person whom you named, if that person subscribes to "
        "them. The others remain, and only administrators manage them."
    ),
}
