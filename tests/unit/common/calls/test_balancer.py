from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.calls.balancer import Balancer, Endpoint

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


@given(st.lists(st.sampled_from(["pick", "fail", "succeed", "leave", "join"]), max_size=60))
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
        elif step == "leave" and len(known) > 1:
            known.remove(chosen)
            balancer.update(known)
        elif step == "join":
            known = [A, B, C]
            balancer.update(known)
        assert balancer.pick(float(now)) in known
