"""Secrets of one data folder: created once, stored in ``secrets.json`` with mode 600."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from notifyx_common.contracts.callers import LOCAL_TOKENS, Service
from notifyx_common.errors import NotifyxError


def _random_secret() -> str:
    return secrets.token_urlsafe(32)


class Secrets(BaseModel):
    """The secrets that the processes share, and the first administrator's password."""

    model_config = ConfigDict(frozen=True)

    internal_tokens: dict[str, str] = Field(default_factory=dict, repr=False)
    """The token of each call between services, by ``<caller>-<called>``."""

    auth_secret: str = Field(default_factory=_random_secret, repr=False)
    unsubscribe_secret: str = Field(default_factory=_random_secret, repr=False)
    auth_database: str = Field(default_factory=_random_secret, repr=False)
    store_database: str = Field(default_factory=_random_secret, repr=False)
    admin_password: str = Field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)

    @model_validator(mode="after")
    def _has_every_token(self) -> Self:
        for caller, called in LOCAL_TOKENS:
            self.internal_tokens.setdefault(f"{caller}-{called}", _random_secret())
        return self

    def internal_token(self, caller: Service, called: Service) -> str:
        """Return the token with which ``caller`` calls ``called``."""
        return self.internal_tokens[f"{caller}-{called}"]


class UnreadableSecrets(NotifyxError):
    """The file with the secrets exists but cannot be used."""

    code = "unreadable_secrets"


def load_secrets(folder: Path) -> Secrets:
    """Return the secrets of ``folder``. The first call creates them; later ones add those that a newer version needs.

    Raises :class:`UnreadableSecrets`: replacing damaged secrets would lock people out of their data.
    """
    path = folder / "secrets.json"
    stored: dict[str, Any] = {}
    if path.exists():
        try:
            stored = json.loads(path.read_text())
            loaded = Secrets.model_validate(stored)
        except (OSError, ValueError):
            raise UnreadableSecrets(
                f"{path} cannot be read as secrets; bring it back, or choose another folder with --data."
            ) from None
    else:
        loaded = Secrets()
    if stored != loaded.model_dump():
        partial = path.with_suffix(".partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(loaded.model_dump(), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    return loaded
