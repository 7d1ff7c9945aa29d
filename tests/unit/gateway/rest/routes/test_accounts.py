"""Credentials of a client at the token endpoint."""

from __future__ import annotations

import base64

import pytest

from notifyx_common.errors import InvalidRequest
from notifyx_gateway.rest.routes.accounts import client_credentials


def test_client_credentials_come_in_the_form_or_as_basic_not_both() -> None:
    basic = "Basic " + base64.b64encode(b"an%20id:se:cret").decode()
    assert client_credentials({"grant_type": "x"}, basic) == {
        "grant_type": "x", "client_id": "an id", "client_secret": "se:cret",
    }  # fmt: skip
    assert client_credentials({"client_id": "a"}, None) == {"client_id": "a"}
    for fields, header in (({"client_id": "a"}, basic), ({}, "Basic !"), ({}, "Basic YQ=="), ({}, "Basic /w==")):
        with pytest.raises(InvalidRequest):
            client_credentials(fields, header)
