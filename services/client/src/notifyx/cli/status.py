"""``notifyx status``."""

from __future__ import annotations

from notifyx.cli.email import describe
from notifyx.cli.options import DEFAULT_URL, Format, Output, Url
from notifyx.cli.output import Writer, lost
from notifyx.cli.session import client, run
from notifyx.errors import Unavailable
from notifyx.models import Status


def status(url: Url = DEFAULT_URL, output: Output = Format.text) -> None:
    """Show the deployment, who you are there, and what you have not read."""

    async def work(writer: Writer) -> None:
        async with client(url) as notifyx:
            found = await notifyx.status()
        if writer.is_json:
            writer.line(found)
        else:
            _show(writer, found)
        if found.readiness.status != "ok":
            raise Unavailable("The deployment is not ready.")

    run(output, work)


def _show(writer: Writer, found: Status) -> None:
    failed = "; ".join(f"{name}: {reason}" for name, reason in found.readiness.failed.items())
    user = found.user
    who = "nobody is logged in" if user is None else f"{user.email}{'' if user.email_verified else ' (not verified)'}"
    rows = [
        ("deployment", f"{found.url} (version {found.config.version or 'unknown'})"),
        ("ready", "yes" if found.readiness.status == "ok" else f"no: {failed}"),
        ("socket", found.config.socket_url),
        ("logged in", who),
    ]
    unread = [(one.topic, one.unread) for one in found.subscriptions if one.unread]
    rows += [(f"unread in {'your inbox' if name.startswith('user:') else name}", str(n)) for name, n in unread]
    if user is not None and not unread:
        rows.append(("unread", "nothing"))
    expired = [(one.topic, one.expired) for one in found.subscriptions if one.expired]
    rows += [(f"missed in {'your inbox' if name.startswith('user:') else name}", lost(n)) for name, n in expired]
    if found.email is not None and found.email.state != "on":
        rows.append(("email", describe(found.email, verified=user is None or user.email_verified)))
    writer.table(("", ""), rows)
