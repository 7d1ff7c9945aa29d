"""Secrets of one data folder: made once, kept in ``secrets.json`` with mode 600."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from notifyx_common.errors import NotifyxError


def _fresh() -> str:
    return secrets.token_urlsafe(32)


class Secrets(BaseModel):
    """What the processes of one machine show each other, and the first administrator's password."""

    model_config = ConfigDict(frozen=True)

    internal_token: str = Field(default_factory=_fresh, repr=False)
    auth_secret: str = Field(default_factory=_fresh, repr=False)
    unsubscribe_secret: str = Field(default_factory=_fresh, repr=False)
    auth_database: str = Field(default_factory=_fresh, repr=False)
    store_database: str = Field(default_factory=_fresh, repr=False)
    admin_password: str = Field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)


class UnreadableSecrets(NotifyxError):
    """The file with the secrets is there and cannot be used."""

    code = "unreadable_secrets"


def load_secrets(folder: Path) -> Secrets:
    """The secrets of ``folder``, made on the first call, and those added that a newer version needs.

    Raises :class:`UnreadableSecrets`: new ones in place of lost ones would lock people out of their data.
    """
    path = folder / "secrets.json"
    kept: dict[str, Any] = {}
    if path.exists():
        try:
            kept = json.loads(path.read_text())
            made = Secrets.model_validate(kept)
        except (OSError, ValueError):
            raise UnreadableSecrets(
                f"{path} cannot be read as secrets; bring it back, or choose another folder with --data."
            ) from None
    else:
        made = Secrets()
    if kept.keys() != made.model_dump().keys():
        partial = path.with_suffix(".partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(made.model_dump(), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    return made
