"""The channel state machine: what Phoenix promises a client, for any sequence of messages."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from notifyx_gateway.socket.frames import BadFrame, Message, decode_binary, decode_text, encode
from notifyx_gateway.socket.protocol import (
    Channel,
    ChannelSet,
    CheckJoin,
    Close,
    Effect,
    HandleMessage,
    Send,
    StartDelivery,
)


def sent(effects: Any) -> list[Any]:
    return [orjson.loads(effect.data) for effect in effects if isinstance(effect, Send)]


def join(session: ChannelSet, ref: str, topic: str = "topic:news", params: Any = None) -> tuple[Any, Channel | None]:
    effects = session.receive(Message(ref, ref, topic, "phx_join", {} if params is None else params))
    opened = [effect.channel for effect in effects if isinstance(effect, CheckJoin)]
    return effects, opened[0] if opened else None


def joined(session: ChannelSet, ref: str, topic: str = "topic:news") -> Channel:
    _, channel = join(session, ref, topic)
    assert channel is not None
    session.accept(channel, {})
    return channel


def ok(join_ref: str | None, ref: str, topic: str, response: Any = None) -> list[Any]:
    return [join_ref, ref, topic, "phx_reply", {"status": "ok", "response": response or {}}]


def test_heartbeat_is_answered() -> None:
    effects = ChannelSet().receive(Message(None, "7", "phoenix", "heartbeat", {}))
    assert sent(effects) == [ok(None, "7", "phoenix")]
    effects = ChannelSet(is_away=lambda: True).receive(Message(None, "8", "phoenix", "heartbeat", {}))
    assert sent(effects) == [ok(None, "8", "phoenix", {"live": False})]


def test_a_join_is_answered_then_live_then_early_messages() -> None:
    session = ChannelSet()
    _, channel = join(session, "1")
    assert channel is not None
    queued = Message("1", "2", "topic:news", "publish", {"body": "x"})
    assert session.receive(queued) == ()
    effects = session.accept(channel, {"last_seq": 3})
    assert [type(effect) for effect in effects] == [Send, StartDelivery, HandleMessage]
    assert sent(effects) == [ok("1", "1", "topic:news", {"last_seq": 3})]
    assert effects[-1] == HandleMessage(channel, queued)


def test_early_messages_are_counted_until_their_join_is_answered_or_their_channel_ends() -> None:
    session = ChannelSet()
    channels = {}
    for topic in ("accepted", "rejected", "left", "cleared"):
        _, channels[topic] = join(session, topic, topic)
        assert [session.receive(Message(topic, "2", topic, "publish", {})) for _ in range(3)] == [(), (), ()]
    assert session.queued == 12
    assert channels["accepted"] is not None
    assert channels["rejected"] is not None
    session.accept(channels["accepted"], {})
    assert session.queued == 9
    session.reject(channels["rejected"], {})
    assert session.queued == 6
    session.receive(Message("left", "3", "left", "phx_leave", {}))
    assert session.queued == 3
    session.clear()
    assert session.queued == 0


def test_a_rejected_join_leaves_nothing() -> None:
    session = ChannelSet()
    _, channel = join(session, "1")
    assert channel is not None
    effects = session.reject(channel, {"reason": "unauthorized"})
    assert sent(effects)[0][4] == {"status": "error", "response": {"reason": "unauthorized"}}
    assert session.channels == {}


def test_leave_answers_then_closes_with_the_join_ref() -> None:
    session = ChannelSet()
    channel = joined(session, "1")
    effects = session.receive(Message("1", "5", "topic:news", "phx_leave", {}))
    assert sent(effects) == [ok("1", "5", "topic:news"), ["1", "1", "topic:news", "phx_close", {}]]
    assert Close(channel) in effects


def test_leaving_what_was_not_joined_is_fine() -> None:
    effects = ChannelSet().receive(Message("1", "5", "topic:news", "phx_leave", {}))
    assert sent(effects) == [ok("1", "5", "topic:news")]


def test_leaving_during_the_join_discards_its_answer() -> None:
    session = ChannelSet()
    _, channel = join(session, "1")
    assert channel is not None
    session.receive(Message("1", "2", "topic:news", "phx_leave", {}))
    assert session.accept(channel, {}) == ()
    assert session.reject(channel, {}) == ()


def test_a_second_join_closes_the_first_with_its_ref() -> None:
    session = ChannelSet()
    first = joined(session, "1")
    effects, second = join(session, "4")
    assert second is not None
    assert sent(effects) == [["1", "1", "topic:news", "phx_close", {}]]
    assert effects[0] == Close(first)
    assert sent(session.accept(second, {})) == [ok("4", "4", "topic:news")]


@pytest.mark.parametrize("event", ["publish", "phx_leave"])
def test_a_stale_join_ref_is_dropped(event: str) -> None:
    session = ChannelSet()
    joined(session, "4")
    assert session.receive(Message("1", "5", "topic:news", event, {})) == ()


def test_a_null_join_ref_is_taken() -> None:
    session = ChannelSet()
    channel = joined(session, "4")
    message = Message(None, "5", "topic:news", "publish", {})
    assert session.receive(message) == (HandleMessage(channel, message),)


def test_a_push_to_what_is_not_joined_is_refused() -> None:
    answer = sent(ChannelSet().receive(Message("1", "2", "topic:news", "publish", {})))
    assert answer == [
        [
            None,
            "2",
            "topic:news",
            "phx_reply",
            {"status": "error", "response": {"code": "unmatched_topic", "reason": "unmatched topic"}},
        ]
    ]


def test_channels_are_bounded() -> None:
    session = ChannelSet(2)
    joined(session, "1", "topic:a")
    joined(session, "2", "topic:b")
    effects, channel = join(session, "3", "topic:c")
    assert channel is None
    assert sent(effects)[0][4]["response"]["reason"] == "too many channels joined"
    assert join(session, "4", "topic:a")[1] is not None


@pytest.mark.parametrize("params", [[], "x", 7, b"\x00"])
def test_join_params_are_an_object(params: Any) -> None:
    effects, channel = join(ChannelSet(), "1", params=params)
    assert channel is None
    assert sent(effects)[0][4]["status"] == "error"


refs = st.sampled_from([None, "1", "2", "3", ""])
names = st.sampled_from(["phoenix", "topic:a", "topic:b", "user:me"])
events = st.sampled_from(["phx_join", "phx_leave", "phx_close", "phx_error", "phx_reply", "heartbeat", "publish"])
payloads: st.SearchStrategy[Any] = st.sampled_from([{}, {"x": 1}, [], None, 3, b"bytes"])


class AnySequence(RuleBasedStateMachine):
    """Any messages and outcomes: the session and what its effects said always agree."""

    def __init__(self) -> None:
        super().__init__()
        self.session = ChannelSet(2)
        self.open: dict[int, Channel] = {}
        self.live: set[int] = set()

    def take(self, effects: Any) -> None:
        for effect in effects:
            self.take_one(effect)

    def take_one(self, effect: Effect) -> None:
        match effect:
            case CheckJoin(channel, params):
                assert isinstance(params, dict)
                assert id(channel) not in self.open
                self.open[id(channel)] = channel
            case Close(channel):
                del self.open[id(channel)]
                self.live.discard(id(channel))
            case StartDelivery(channel):
                assert id(channel) in self.open
                self.live.add(id(channel))
            case HandleMessage(channel, message):
                assert id(channel) in self.live
                assert message.join_ref in (None, channel.join_ref)
            case Send(data):
                assert len(orjson.loads(data)) == 5

    @rule(join_ref=refs, ref=refs, topic=names, event=events, payload=payloads)
    def receive(self, join_ref: str | None, ref: str | None, topic: str, event: str, payload: Any) -> None:
        self.take(self.session.receive(Message(join_ref, ref, topic, event, payload)))

    @rule(pick=st.randoms(use_true_random=False), accept=st.booleans())
    def answer(self, pick: Any, accept: bool) -> None:
        waiting = [channel for channel in self.open.values() if channel.queued is not None]
        if waiting:
            channel = pick.choice(waiting)
            self.take(self.session.accept(channel, {}) if accept else self.session.reject(channel, {}))

    @rule(pick=st.randoms(use_true_random=False), event=st.sampled_from(["phx_close", "phx_error"]))
    def end(self, pick: Any, event: str) -> None:
        if self.open:
            self.take(self.session.end(pick.choice(list(self.open.values())), event))

    @invariant()
    def agree(self) -> None:
        assert {id(channel) for channel in self.session.channels.values()} == set(self.open)
        assert len(self.open) <= 2

    def teardown(self) -> None:
        self.take(self.session.clear())
        assert self.open == {}


TestAnySequence = AnySequence.TestCase


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(st.binary(max_size=300) | json_values.map(orjson.dumps))
def test_any_text_is_a_message_or_a_bad_frame(data: bytes) -> None:
    try:
        message = decode_text(data)
    except BadFrame as error:
        rejected: BadFrame | None = error
    else:
        rejected = None
        assert orjson.loads(encode(message.join_ref, message.ref, message.topic, message.event, message.payload))
    assert rejected is None or (rejected.code in (1007, 1008) and len(str(rejected)) < 120)


@given(refs, refs, st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60), json_values)
def test_text_round_trip(join_ref: str | None, ref: str | None, topic: str, event: str, payload: Any) -> None:
    try:
        data = encode(join_ref, ref, topic, event, payload)
    except TypeError:  # a lone surrogate is no text
        return
    assert decode_text(data) == Message(join_ref, ref, topic, event, payload)


@given(st.binary(max_size=600))
def test_any_binary_is_a_push_or_a_bad_frame(data: bytes) -> None:
    try:
        message = decode_binary(data)
    except BadFrame:
        return
    strings = [message.join_ref or "", message.ref or "", message.topic, message.event]
    fields = [str(text).encode() for text in strings]
    assert bytes((0, *map(len, fields))) + b"".join(fields) + message.payload == data
