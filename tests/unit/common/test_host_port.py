"""Addresses of IPv6 have brackets before a port."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from notifyx_common.host_port import host_port


@pytest.mark.parametrize("host", ["127.0.0.1", "fd00:244::1", "::", "notifyx-store"])
def test_a_url_is_read_as_it_was_written(host: str) -> None:
    parts = urlsplit(f"http://{host_port(host, 4000)}")
    assert (parts.hostname, parts.port) == (host, 4000)
