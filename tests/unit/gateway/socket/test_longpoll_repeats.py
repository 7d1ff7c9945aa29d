"""What a repeated request of a client that polls receives, and which of its lines are handled."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from notifyx_gateway.socket.longpoll_answers import MAX_REPEATS, Answers, Choice
from notifyx_gateway.socket.longpoll_posts import MAX_RECENT, Posts


def opened() -> Answers:
    """Those of a session whose client has shown that it follows the tokens."""
    answers = Answers()
    assert answers.shown(0) is Choice.AGAIN
    assert answers.shown(1) is Choice.NEXT
    return answers


def test_the_first_answer_is_empty_and_changes_the_token() -> None:
    answers = Answers()
    assert answers.shown(0) is Choice.AGAIN
    assert (answers.last.number, answers.last.messages) == (1, ())
    assert answers.shown(0) is Choice.AGAIN, "it was lost: the same again, and no messages before its token comes"
    assert (answers.last.number, answers.last.messages) == (1, ())
    assert answers.shown(1) is Choice.NEXT
    assert answers.shown(1) is Choice.NEXT, "an answer without messages changes nothing, so nothing of it is lost"


def test_each_answer_is_repeated_until_its_token_comes() -> None:
    answers = opened()
    for number in range(2, 10):
        found = answers.add([b"%d" % number], 1)
        assert found.number == number
        for _ in range(3):
            assert answers.shown(number - 1) is Choice.AGAIN
            assert answers.last == found
        assert answers.size == 1
        assert answers.shown(number) is Choice.NEXT
        assert (answers.size, answers.last.messages) == (0, ()), "the client has it"


@pytest.mark.parametrize("seen", [-1, 0, 1, 2, 4, 5, 10**18])
def test_any_other_token_ends_the_session(seen: int) -> None:
    answers = opened()
    answers.add([b"second"], 6)
    assert answers.shown(2) is Choice.NEXT
    answers.add([b"third"], 5)
    expected = {2: Choice.AGAIN}
    assert answers.shown(seen) is expected.get(seen, Choice.LOST)


def test_an_answer_whose_token_came_is_not_repeated() -> None:
    answers = opened()
    answers.add([b"second"], 6)
    assert answers.shown(2) is Choice.NEXT
    assert answers.shown(1) is Choice.LOST


def test_what_was_dropped_is_not_repeated() -> None:
    answers = opened()
    answers.add([b"second"], 6)
    answers.discard()
    assert answers.size == 0
    assert answers.shown(1) is Choice.LOST


def test_an_answer_is_repeated_a_few_times_only() -> None:
    answers = opened()
    answers.add([b"second"], 6)
    assert [answers.shown(1) for _ in range(MAX_REPEATS + 2)] == [Choice.AGAIN] * MAX_REPEATS + [Choice.LOST] * 2


def test_a_client_that_keeps_its_first_token_receives_messages_in_the_end() -> None:
    answers = Answers()
    assert [answers.shown(0) for _ in range(MAX_REPEATS + 1)] == [Choice.AGAIN] * (MAX_REPEATS + 1)
    for _ in range(10):
        assert answers.shown(0) is Choice.NEXT
        found = answers.add([b"one"], 3)
        assert (found.number, found.messages) == (0, [b"one"]), "its token stays"
        assert answers.size == 0, "nothing is stored that cannot be repeated"
    assert answers.shown(1) is Choice.LOST, "it did follow, and has lost what was not stored"


def handle(posts: Posts, seen: int, lines: Sequence[bytes], until: int | None = None) -> list[bytes]:
    """Handle what is left of a request, up to where its connection breaks, and return that."""
    post = posts.find(seen, b"\n".join(lines))
    found = list(lines[post.handled : until])
    post.handled += len(found)
    return found


def test_the_lines_of_a_repeated_request_are_handled_once() -> None:
    posts = Posts()
    assert handle(posts, 1, [b"a", b"b", b"c"], until=2) == [b"a", b"b"]
    assert handle(posts, 1, [b"a", b"b", b"c"]) == [b"c"], "it goes on where the first one ended"
    assert handle(posts, 1, [b"a", b"b", b"c"]) == []
    assert handle(posts, 1, [b"a", b"b"]) == [b"a", b"b"], "another request"
    assert handle(posts, 2, [b"a", b"b"]) == [b"a", b"b"], "its client has received an answer in between"


def test_a_request_without_refs_counts_as_a_new_one() -> None:
    posts = Posts()
    for _ in range(2):
        post = posts.find(1, b"a")
        assert post.handled == 0
        post.handled += 1
        posts.remove(post)


def test_few_requests_are_recognized() -> None:
    posts = Posts()
    for number in range(MAX_RECENT + 1):
        assert handle(posts, 1, [b"%d" % number])
    assert not handle(posts, 1, [b"1"])
    assert handle(posts, 1, [b"0"])
