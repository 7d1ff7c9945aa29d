"""Which standby may be read for a page, and which page may be shown."""

from __future__ import annotations

from uuid import uuid4

import pytest

from notifyx_common.settings import SettingsError
from notifyx_store.base.replica_rules import Lag, Position, Standby, unseen, unusable
from notifyx_store.base.replica_settings import check_replica
from support.store import store_settings

TERM = uuid4()
AT_100 = Position.parse(100, "7:20:7,12,15", TERM)


def test_a_standby_is_read_that_has_all_that_the_primary_had() -> None:
    assert unusable(Standby(100, TERM), AT_100) is None
    assert unusable(Standby(101, TERM), AT_100) is None
    assert unusable(Standby(99, TERM), AT_100) == "behind"


def test_positions_of_another_primary_are_not_compared() -> None:
    """After a failover a standby of the lost primary may be further than the new one, with what that never got."""
    assert unusable(Standby(500, uuid4()), AT_100) == "failover"
    assert unusable(Standby(500, None), AT_100) == "failover"
    assert unusable(Standby(None, TERM), AT_100) == "failover", "it was promoted"
    assert unusable(Standby(500, None), Position.parse(100, "7:7:", None)) == "failover", "nobody has marked the term"


def test_a_page_shows_nothing_that_the_primary_does_not() -> None:
    assert unseen(AT_100, 21) is None, "of transaction 20 the position knows nothing"
    assert unseen(AT_100, 20) == [7, 12, 15]
    assert unseen(AT_100, 13) == [7, 12]
    assert unseen(AT_100, 7) == []
    assert unseen(Position.parse(100, "20:20:", TERM), 20) == []


def test_the_lag_is_the_age_of_what_is_missing() -> None:
    lag = Lag()
    assert lag.seconds(5.0) == 0
    for at in range(3):
        lag.primary(float(at), 100 + at)
    assert lag.seconds(3.0) == 3
    lag.replayed(101)
    assert lag.seconds(3.0) == 1
    lag.replayed(102)
    assert lag.seconds(9.0) == 0


@pytest.mark.parametrize("url", ["http://replica/store", "postgresql://replica", "replica"])
def test_a_wrong_url_is_one_sentence_without_the_password(url: str) -> None:
    settings = store_settings("postgresql://unused/unused", read_replica_url=url)
    with pytest.raises(SettingsError, match=r"NOTIFYX_READ_REPLICA_URL: give postgresql://"):
        check_replica(settings)
