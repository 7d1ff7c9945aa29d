"""A resync forgets resources that are gone, never one that was created while its own results were written."""

from __future__ import annotations

from notifyx_operator.topics.latest_passes import LatestPasses


def test_an_earlier_result_is_not_written_over_a_later_one() -> None:
    latest = LatestPasses()
    latest.record(1, ["deploys"])
    latest.record(2, ["deploys"])
    assert not latest.is_latest(1, "deploys")
    assert latest.is_latest(2, "deploys")


def test_a_resource_created_while_a_resync_writes_still_gets_its_status() -> None:
    latest = LatestPasses()
    latest.record(1, ["deploys"])
    latest.record(2, ["created-meanwhile"])
    latest.retain(1, ["deploys"])
    assert latest.is_latest(2, "created-meanwhile")
    assert latest.is_latest(1, "deploys")


def test_a_resource_that_is_gone_is_forgotten() -> None:
    latest = LatestPasses()
    latest.record(1, ["deploys", "gone"])
    latest.record(2, ["deploys"])
    latest.retain(2, ["deploys"])
    assert not latest.is_latest(1, "gone")
