"""Emails as pictures: each template with what is hard to show in it, as the mailer renders it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.async_api import Browser

from notifyx_common.contracts.mailer import MAIL_CONTEXT, Mail
from notifyx_mailer.render import Renderer
from support.browser import FORMS

VIEWS = {"desktop": {"width": 800, "height": 900}, "phone": {"width": 390, "height": 844}}
OPEN = "https://notifyx.example.com"

BODY = """Less than **5 %** is left on `db-1`; see the [runbook](https://example.com/disk).

- Grown by 38 GB since yesterday
- Oldest backup: 3 days

> The nightly clean-up has failed twice.

```
kubectl exec db-1 -- df --human-readable --output=source,size,used,avail,pcent,target /var/lib/postgresql
```

| Folder | Size | Grown by |
|-|-:|-:|
| /var/lib/postgresql | 412 GB | 38 GB |
| /var/log | 12 GB | 1 GB |
"""

RIGHT_TO_LEFT = """נשאר פחות מ-**5 %** על `db-1`; ראו את [המדריך](https://example.com/disk).

- גדל ב-38 GB מאז אתמול
- הגיבוי הישן ביותר: 3 ימים

| תיקייה | גודל |
|-|-:|
| /var/lib/postgresql | 412 GB |
| /var/log | 12 GB |
"""
"""In Hebrew, with what is left to right in it."""

WIDE = "\n".join(cell * 14 for cell in ("| Volume of db-1 ", "|-", "| 412 GB "))
"""A table that no telephone is wide enough for."""

_NOTIFICATION: dict[str, Any] = {
    "topic": "ops.storage",
    "topic_title": "Storage",
    "title": "Disk almost full on db-1",
    "body": BODY,
    "data": {"host": "db-1", "free": {"bytes": 4_812_000, "percent": 4.7}, "mounts": ["/", "/var"]},
    "priority": "urgent",
    "publisher": "Olga",
    "published_at": "2026-05-04T09:30:00Z",
    "link": f"{OPEN}/topics/ops.storage/n/42",
}
_HEBREW: dict[str, Any] = {**_NOTIFICATION, "title": "הדיסק כמעט מלא", "body": RIGHT_TO_LEFT, "publisher": "אולגה"}
_SHORT: dict[str, Any] = {
    **_NOTIFICATION, "title": "Version 1.42 is live", "body": "Rolled out in 4 minutes.", "data": None,
    "priority": "low",
}  # fmt: skip
_READER = {"acknowledge_link": f"{OPEN}/acknowledge?token=some", "time_zone": "Europe/Berlin"}

MAILS: Mapping[str, Mapping[str, Any]] = {
    "notification": {"template": "notification", **_NOTIFICATION, **_READER},
    "right-to-left": {"template": "notification", **_HEBREW, **_READER, "topic_title": "אחסון"},
    "wide": {"template": "notification", **_NOTIFICATION, **_READER, "body": f"{WIDE}\n\nIt goes on below."},
    "digest": {
        "template": "digest", "topic": "ops.storage", "topic_title": "Storage", "more": 7, "link": f"{OPEN}/inbox",
        "notifications": [_NOTIFICATION, _HEBREW, _SHORT], **_READER,
    },
    "verify": {"template": "verify_email", "link": f"{OPEN}/verify-email#some", "expires_at": "2026-05-05T09:30:00Z"},
    "reset": {
        "template": "account", "kind": "password_reset", "link": f"{OPEN}/reset-password#some",
        "at": "2026-05-04T10:30:00Z", "time_zone": "Europe/Berlin",
    },
    "changed": {
        "template": "account", "kind": "email_changed", "link": f"{OPEN}/forgot-password",
        "email": "ada@new.example", "at": "2026-05-04T10:30:00Z",
    },
}  # fmt: skip


def html_of(name: str) -> str:
    """Return one of :data:`MAILS` as a mail program gets it."""
    context = MAIL_CONTEXT.validate_python(dict(MAILS[name]))
    mail = Mail(
        id=name,
        message_id=f"<{name}@notifyx.example.com>",
        to="ada@example.com",
        context=context,
        unsubscribe_url=f"{OPEN}/unsubscribe?token=some" if context.template in ("notification", "digest") else None,
    )
    return Renderer().render(mail).html


async def take(browser: Browser, folder: Path) -> None:
    """Take a picture of each mail, whole, in all forms."""
    page = await browser.new_page()
    for name in MAILS:
        await page.set_content(html_of(name))
        for size, scheme in FORMS:
            await page.set_viewport_size(VIEWS[size])  # type: ignore[arg-type]  # a TypedDict
            await page.emulate_media(color_scheme=scheme)
            await page.screenshot(path=folder / f"mail-{name}-{size}-{scheme}.png", full_page=True)
    await page.close()
