"""How many emails mailers have at a time: a moment's work, within what their connections need and a chunk may hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from notifyx_gateway.mail.pace import Pace


def paced(mails: int, seconds: float, connections: int = 4, times: int = 1) -> Pace:
    pace = Pace(25, 2)
    for _ in range(times):
        pace.record(mails, seconds, connections)
    return pace


def test_chunks_are_full_until_one_was_sent_and_where_mail_is_fast() -> None:
    new = Pace(25, 2)
    assert (new.chunk, new.ahead(4)) == (25, 0)
    assert (paced(25, 0.1).chunk, paced(25, 0.1).ahead(4)) == (25, 250)
    assert paced(1, 0.02).chunk == 25, "one email that was fast"


def test_where_mail_is_slow_a_mailer_has_what_its_connections_need() -> None:
    slow = paced(12, 1.2, times=3)
    assert (slow.chunk, slow.ahead(4)) == (12, 10)
    assert paced(1, 2.0, connections=2).chunk == 6
    assert paced(1, 2.0, connections=100).chunk == 25
    assert paced(1, 2.0, connections=0).chunk == 25, "a mailer that does not report it"
    assert paced(8, 0.4).chunk == 20, "a second's work"


def test_the_pace_follows_the_last_chunks() -> None:
    pace = paced(25, 0.1)
    sizes = []
    for _ in range(20):
        pace.record(12, 1.2, 4)
        sizes.append(pace.chunk)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 12 < sizes[0]


@given(st.integers(1, 1000), st.floats(0, 300), st.integers(0, 100), st.integers(1, 100))
def test_sizes_have_bounds(mails: int, seconds: float, connections: int, slots: int) -> None:
    pace = paced(mails, seconds, connections)
    assert 1 <= pace.chunk <= 25
    assert 0 <= pace.ahead(slots) <= 4 * slots * 25
