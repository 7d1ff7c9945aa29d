"""A ServiceAccount that a value names and nobody has is reported before anything is installed, where helm can ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chart.api_server import api_server
from chart.rendered import NAMESPACE, Refused, render

READABLE = [
    {"name": plural, "kind": kind, "namespaced": True, "verbs": ["get", "list"]}
    for plural, kind in (("serviceaccounts", "ServiceAccount"), ("secrets", "Secret"))
]
RENDERED = "unable to build kubernetes objects"
"""What helm says once all is rendered: the API server below cannot validate objects."""


@pytest.fixture(params=[("default", "theirs")])
def api(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an API server whose namespace has these ServiceAccounts."""
    accounts = [{"metadata": {"name": name, "namespace": NAMESPACE}} for name in request.param]
    found = {"kind": "ServiceAccountList", "apiVersion": "v1", "metadata": {}, "items": accounts}
    with api_server(READABLE, {f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts": found}) as url:
        yield url


def there(name: str) -> dict[str, Any]:
    return {"serviceAccount": {"create": False, "name": name}}


MADE = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "{{ .Release.Name }}-mine"}}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"gateway": there("thiers")}, "gateway.serviceAccount.name is thiers: there is no such ServiceAccount"),
        ({"operator": there("thiers")}, "operator.serviceAccount.name is thiers"),
        ({"postgres": {"serviceAccountName": "thiers"}}, "postgres.serviceAccountName is thiers"),
        ({"backup": {"enabled": True, "serviceAccountName": "thiers"}}, "backup.serviceAccountName is thiers"),
        ({"gateway": there("theirs")}, RENDERED),
        ({"gateway": {"serviceAccount": {"name": "made"}}, "mailer": there("made")}, RENDERED),
        ({"extraObjects": [MADE], "store": there("notifyx-mine")}, RENDERED),
        ({"mailbox": {"serviceAccountName": "thiers"}}, RENDERED),
    ],
)
def test_an_account_that_nobody_has_is_refused(values: dict[str, Any], said: str, api: str) -> None:
    with pytest.raises(Refused) as caught:
        render(values, api=api)
    assert said in str(caught.value)


@pytest.mark.parametrize("api", [()], indirect=True)
def test_in_a_namespace_that_is_not_there_yet_nothing_is_refused(api: str) -> None:
    with pytest.raises(Refused, match=RENDERED):
        render({"gateway": there("theirs")}, api=api)


def test_the_notes_name_accounts_that_were_not_found() -> None:
    said = render({"gateway": there("thiers")}, notes=True).text
    assert "The ServiceAccount thiers (gateway.serviceAccount.name) was not found in the namespace somewhere." in said
    assert "was not found" not in render({}, notes=True).text
