"""What auth says of credentials before they expire: whom it is about, and for how long."""

from __future__ import annotations

import pytest

from notifyx_common.contracts.auth import CredentialChange
from notifyx_common.errors import Unauthenticated
from notifyx_common.principal import Principal
from notifyx_gateway.upstream.credential_state import CredentialState, about

ANN = Principal(id="ann", email="ann@example.org", session="s1", epoch=1)
KEY = Principal(id="ann", email="ann@example.org", kind="api_key", key_id="k1")
BOB = Principal(id="bob", email="bob@example.org", session="s2")


def change(kind: str, subject: str, **more: object) -> CredentialChange:
    return CredentialChange.model_validate({"id": 1, "kind": kind, "subject": subject, "seconds": 100, **more})


def ended(state: CredentialState, principal: Principal) -> bool:
    try:
        state.current(principal)
    except Unauthenticated:
        return True
    return False


@pytest.mark.parametrize(
    ("made", "whom"),
    [
        (change("session", "s1"), [ANN]),
        (change("session", "k1"), []),
        (change("sessions", "ann", epoch=1), []),
        (change("sessions", "ann", epoch=2), [ANN]),
        (change("api_key", "k1"), [KEY]),
        (change("api_key", "s1"), []),
        (change("account", "ann"), [ANN, KEY]),
    ],
)
def test_a_change_ends_what_it_names_and_nothing_else(made: CredentialChange, whom: list[Principal]) -> None:
    state = CredentialState()
    state.apply([made], 0.0)
    assert [one for one in (ANN, KEY, BOB) if ended(state, one)] == whom
    assert all(about([made])(one) for one in whom)
    assert not about([made])(BOB)


def test_an_address_is_the_one_that_was_verified_last() -> None:
    state = CredentialState()
    state.apply([change("verified", "ann", email="ann@example.org"), change("verified", "bob", email="new@x.org")], 0.0)
    seen = [state.current(one) for one in (ANN, KEY, BOB.model_copy(update={"email_verified": True}))]
    assert [one.email_verified for one in seen] == [True, True, True]
    assert [one.email for one in seen] == ["ann@example.org", "ann@example.org", "new@x.org"]


def test_a_name_is_the_one_that_was_taken_last_and_counts_for_keys_too() -> None:
    state = CredentialState()
    renamed = [change("account_changed", "ann", name=name) for name in ("Ann B.", "Ann C.")]
    state.apply([*renamed, change("verified", "ann", email="ann@example.org")], 0.0)
    seen = [state.current(one) for one in (ANN, KEY, BOB)]
    assert [(one.name, one.email_verified) for one in seen] == [("Ann C.", True), ("Ann C.", True), ("", False)]
    assert state.current(seen[0]) is seen[0]
    state.apply([change("account_changed", "ann", name="")], 1.0)
    assert state.current(seen[0]).name == "", "a name may be taken away"
    assert not change("account_changed", "ann").of_credentials


def test_a_change_is_forgotten_when_nothing_from_before_it_is_valid() -> None:
    state = CredentialState()
    state.apply([change("session", "s1")], 0.0)
    state.apply([], 99.0)
    assert (len(state), ended(state, ANN)) == (1, True)
    state.apply([], 100.0)
    assert len(state) == 0
