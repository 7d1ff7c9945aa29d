"""The text that is printed once the platform is ready: addresses, login, first commands. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from notifyx.client import DEFAULT_URL
from notifyx_local.options import UpOptions


@dataclass(frozen=True, slots=True)
class WebClientState:
    """Whether the gateway serves a build of the web client, and the problem of the build, if any."""

    served: bool
    problem: str = ""


def welcome(
    options: UpOptions,
    *,
    web: WebClientState,
    topics: Sequence[str],
    folder: Path,
    status: str = "",
    program: str = "notifyx",
) -> str:
    """Return the text, with rich's markup, and only with addresses that can be opened.

    ``status``: the dashboard's headline, unless all is well. ``program``: the command.
    """
    base = options.gateway_url
    client = f"\n  Open            {base}/" if web.served else ""
    if web.problem:
        before = "of an earlier build. " if web.served else ""
        client += f"\n  [yellow]Web client      {before}{escape(web.problem)}[/yellow]"
    mailbox = "" if options.smtp else f"\n  Mailbox         http://127.0.0.1:{options.mailbox_port}"
    topic = topics[0] if topics else "hello"
    url = "" if base == DEFAULT_URL else f"\n  [cyan]export NOTIFYX_URL={base}[/cyan]"
    names = ", ".join(topics) or "none"
    trouble = f"\n                  [yellow]{escape(status)}[/yellow]" if status else ""
    secrets = escape(str(folder / "secrets.json"))
    return f"""
[bold green]Notifyx is ready.[/bold green]  Ctrl-C stops it; your data stays in {escape(str(folder))}
{client}
  Status          {base}/dashboard{trouble}
  API, readable   {base}/api/v1/docs
  Socket          ws://127.0.0.1:{options.socket_port}/socket  (Phoenix Channels, vsn=2.0.0){mailbox}
  Administrator   {escape(options.admin_email)}, password: "admin_password" in {secrets}
  Topics          {escape(names)}

Try it in another terminal:
{url}
  [cyan]{program} login --sign-up
  {program} subscribe {topic} --follow &
  {program} publish {topic} 'Hello, Notifyx'
  {program} doctor[/cyan]
"""
