from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.calls.balancer import OUTRUN_FOR, OWES_AFTER, Balancer, Endpoint

A, B, C = (Endpoint(name, f"http://{name}") for name in "abc")


def picks(balancer: Balancer, count: int, now: float = 0.0) -> list[str]:
    found = [balancer.pick(now) for _ in range(count)]
    return [endpoint.instance for endpoint in found if endpoint is not None]


def balancer_of(*endpoints: Endpoint) -> Balancer:
    balancer = Balancer()
    balancer.update(endpoints)
    return balancer


def test_takes_turns() -> None:
    assert picks(balancer_of(A, B, C), 6) == ["a", "b", "c", "a", "b", "c"]


def test_none_known_is_none() -> None:
    assert Balancer().pick(0.0) is None


def test_a_failed_endpoint_is_left_out_and_probed_once() -> None:
    balancer = balancer_of(A, B)
    balancer.failed(A.url, now=0.0)
    assert picks(balancer, 3, now=0.5) == ["b", "b", "b"]
    assert sorted(picks(balancer, 2, now=1.0)) == ["a", "b"]
    assert picks(balancer, 2, now=1.0) == ["b", "b"], "one probe at a time"
    balancer.succeeded(A.url)
    assert sorted(picks(balancer, 2, now=1.0)) == ["a", "b"]


def test_ejection_doubles_up_to_a_bound() -> None:
    balancer = balancer_of(A, B)
    now = 0.0
    lengths = []
    for _ in range(8):
        balancer.failed(A.url, now)
        until = next(t / 10 for t in range(int(now * 10), 10_000) if A not in balancer.ejected(t / 10))
        lengths.append(round(until - now))
        now = until
    assert lengths == [1, 2, 4, 8, 15, 15, 15, 15]


def test_calls_that_fail_together_are_one_reason_to_eject() -> None:
    balancer = balancer_of(A, B)
    for _ in range(10):
        balancer.failed(A.url, now=0.0)
    assert not balancer.ejected(1.0)


def test_a_trial_whose_caller_has_gone_is_followed_by_another() -> None:
    balancer = balancer_of(A, B)
    balancer.failed(A.url, now=0.0)
    assert sorted(picks(balancer, 2, now=1.0)) == ["a", "b"]
    balancer.began(A.url, 1.0)
    assert picks(balancer, 2, now=1.0) == ["b", "b"]
    balancer.ended(A.url, 1.0, answered=False)
    assert sorted(picks(balancer, 2, now=1.0)) == ["a", "b"]


def test_whoever_owes_all_its_answers_gets_no_more_calls_while_others_answer() -> None:
    balancer = balancer_of(A, B)
    balancer.began(A.url, 0.0)
    balancer.began(A.url, 0.0)
    assert sorted(picks(balancer, 2, now=OWES_AFTER / 2)) == ["a", "b"], "every call takes a moment"
    assert picks(balancer, 3, now=OWES_AFTER) == ["b"] * 3
    balancer.ended(A.url, OWES_AFTER, answered=True)
    assert sorted(picks(balancer, 2, now=OWES_AFTER)) == ["a", "b"], "it works: one of its calls is long"
    assert picks(balancer, 3, now=2 * OWES_AFTER) == ["b"] * 3
    balancer.began(B.url, 2 * OWES_AFTER)
    assert sorted(picks(balancer, 2, now=3 * OWES_AFTER)) == ["a", "b"], "all are slow"
    balancer.ended(A.url, 3 * OWES_AFTER, answered=False)
    assert picks(balancer, 3, now=3 * OWES_AFTER) == ["a"] * 3


def test_whoever_was_outrun_and_answered_nothing_gets_no_more_calls_until_it_does() -> None:
    balancer = balancer_of(A, B)
    for end in ("an answer", "its time"):
        balancer.began(A.url, 0.0)
        assert balancer.outrun(A.url, 0.0, 0.0)
        balancer.ended(A.url, 0.0, answered=False)
        assert picks(balancer, 3, now=0.0) == ["b"] * 3
        assert balancer.pick(0.0, {B.url}, well=True) is None
        assert balancer.pick(0.0, {B.url}) == A
        balancer.began(A.url, 0.0)
        balancer.ended(A.url, 0.0, answered=end == "an answer")
        assert sorted(picks(balancer, 2, now=0.0 if end == "an answer" else OUTRUN_FOR)) == ["a", "b"]
        balancer = balancer_of(A, B)
    balancer.began(A.url, 0.0)
    balancer.ended(A.url, 1.0, answered=True)
    assert not balancer.outrun(A.url, 0.0, 1.0), "it answers others"
    assert sorted(picks(balancer, 2, now=1.0)) == ["a", "b"]


def test_when_all_are_ejected_the_one_back_soonest_is_tried() -> None:
    balancer = balancer_of(A, B)
    balancer.failed(B.url, now=0.0)
    balancer.failed(A.url, now=0.5)
    assert picks(balancer, 1, now=0.6) == ["b"]


def test_an_update_keeps_what_is_known_of_those_that_stay() -> None:
    balancer = balancer_of(A, B)
    balancer.failed(A.url, now=0.0)
    balancer.update([A, C])
    assert balancer.ejected(0.5) == [A]
    assert picks(balancer, 2, now=0.5) == ["c", "c"]


@given(st.lists(st.sampled_from(["pick", "fail", "succeed", "leave", "join", "begin", "end"]), max_size=60))
def test_a_known_endpoint_is_always_offered(steps: list[str]) -> None:
    """Whatever happened before, a balancer that knows endpoints offers one of them."""
    balancer = balancer_of(A, B, C)
    known = [A, B, C]
    for now, step in enumerate(steps):
        chosen = known[now % len(known)] if known else A
        if step == "fail":
            balancer.failed(chosen.url, float(now))
        elif step == "succeed":
            balancer.succeeded(chosen.url)
        elif step == "begin":
            balancer.began(chosen.url, float(now))
        elif step == "end":
            balancer.ended(chosen.url, float(now), answered=now % 2 == 0)
        elif step == "leave" and len(known) > 1:
            known.remove(chosen)
            balancer.update(known)
        elif step == "join":
            known = [A, B, C]
            balancer.update(known)
        assert balancer.pick(float(now)) in known
