"""What is said once the platform is ready: what to open, how to log in, what to try. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape

from notifyx_local.options import UpOptions


def welcome(options: UpOptions, *, topics: Sequence[str], folder: Path) -> str:
    """The text, with rich's markup."""
    base = options.gateway_url
    mailbox = "" if options.smtp else f"\n  Mailbox         http://127.0.0.1:{options.mailbox_port}"
    topic = topics[0] if topics else "hello"
    names = ", ".join(topics) or "none"
    secrets = escape(str(folder / "secrets.json"))
    return f"""
[bold green]Notifyx is ready.[/bold green]  Ctrl-C stops it; your data stays in {escape(str(folder))}

  Status          {base}/
  API, readable   {base}/api/v1/docs
  Socket          ws://127.0.0.1:{options.socket_port}/socket  (Phoenix Channels, vsn=2.0.0){mailbox}
  Administrator   {escape(options.admin_email)}, password: "admin_password" in {secrets}
  Topics          {escape(names)}

Try it in another terminal:

  [cyan]PASSWORD=$(python3 -c 'import json; print(json.load(open("{secrets}"))["admin_password"])')
  TOKEN=$(curl -s {base}/api/v1/token -d grant_type=password -d username={escape(options.admin_email)} \\
    --data-urlencode "password=$PASSWORD" | python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])')
  curl -sN -H "Authorization: Bearer $TOKEN" {base}/api/v1/topics/{topic}/stream &
  curl -s -H "Authorization: Bearer $TOKEN" {base}/api/v1/topics/{topic}/notifications -d 'Hello, Notifyx'[/cyan]
"""
