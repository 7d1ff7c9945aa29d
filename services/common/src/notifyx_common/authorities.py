"""The authorities by which a client verifies the certificates of servers."""

from __future__ import annotations

import ssl
from pathlib import Path

from notifyx_common.settings import SettingsError


def trusting(ca_file: Path | None, *, setting: str) -> ssl.SSLContext:
    """Return a context that trusts the authorities of a PEM file, or else those of the system.

    Raises :class:`SettingsError` that names ``setting``, if the file has none.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise SettingsError(
            f"Wrong settings: {setting}: {ca_file} has no certificates ({error.strerror or error})."
        ) from None
