"""``notifyx account``: what one does with one's own account."""

from __future__ import annotations

import typer

from notifyx.cli import account_data, own_account

app = typer.Typer(no_args_is_help=True, help="Your account: name, email, password, all your data, its end.")
for command in (
    own_account.show,
    own_account.set_name,
    own_account.set_email,
    own_account.cancel_email,
    own_account.set_password,
    account_data.export,
    account_data.delete,
):
    app.command()(command)
