"""Secrets of one data folder: made once, kept in ``secrets.json`` with mode 600."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


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


def load_secrets(folder: Path) -> Secrets:
    """The secrets of ``folder``, made on the first call."""
    path = folder / "secrets.json"
    if path.exists():
        return Secrets.model_validate_json(path.read_text())
    made = Secrets()
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(made.model_dump(), file, indent=1)
    partial.replace(path)
    return made
