"""Headers: nothing that people wrote is parsed as part of one, whatever Python composes the email."""

from __future__ import annotations

import email
import email.policy
from base64 import b64encode
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifyx_common.contracts.mailer import Mail, NotificationContext
from notifyx_mailbox.messages import Mailbox
from notifyx_mailer.errors import HeadersUnsafe, MailRejected
from notifyx_mailer.headers import address_header, printable_line, require_names, text_header, word_header
from notifyx_mailer.message import Envelope, compose, parse_recipient
from notifyx_mailer.render import Rendered, one_line

SENDER = Address("Notifyx", addr_spec="notifyx@example.org")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NAMES = [
    "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "List-Unsubscribe", "List-Unsubscribe-Post",
    "MIME-Version", "Content-Type",
]  # fmt: skip
TEXT = "The text.\n\nBcc: not-a-header@example.com\n"


def q(text: str) -> str:
    """An encoded word with every byte in quoted-printable form."""
    return "=?utf-8?q?" + "".join(f"={byte:02X}" for byte in text.encode()) + "?="


def b(text: str, charset: str = "utf-8") -> str:
    return f"=?{charset}?b?{b64encode(text.encode()).decode()}?="


INJECTED = "Hi\r\nBcc: v@example.com"
ATTEMPTS = {
    "q": "=?utf-8?q?Hi=0D=0ABcc:_v@example.com?=",
    "q, body": "=?utf-8?q?Hi=0D=0A=0D=0AThe_publisher_writes_this?=",
    "q, all bytes": q(INJECTED),
    "b": b(INJECTED),
    "b, latin 1": b(INJECTED, "iso-8859-1"),
    "b, unknown charset": b(INJECTED, "x-none"),
    "with a language": "=?utf-8*en?q?Hi=0D=0ABcc:_v@example.com?=",
    "upper case": "=?UTF-8?Q?Hi=0D=0ABcc:_v@example.com?=",
    "mixed": f"Hello {q(INJECTED)} and {b(INJECTED)} {q('x')}",
    "side by side": q("Hi\r") + " " + q("\nBcc: v@example.com"),
    "within a word": f"abc{q(INJECTED)}def",
    "nested": b(q(INJECTED)),
    "nested twice": q(b(q(INJECTED))),
    "unfinished": "=?utf-8?q?Hi=0D=0ABcc:_v@example.com",
    "broken base64": "=?utf-8?b?SGkNCkJjYzo",
    "with raw line ends": "=?utf-8?q?Hi?=\r\nBcc: v@example.com",
    "lone CR": "Hi\rBcc: v@example.com",
    "lone LF": "Hi\nBcc: v@example.com",
    "encoded CR": q("Hi\rBcc: v@example.com"),
    "encoded LF": q("Hi\nBcc: v@example.com"),
    "folded": "Hi\r\n Bcc: v@example.com\r\n\tX: y",
    "NUL": "Hi\x00Bcc: v@example.com",
    "encoded NUL": q("Hi\x00\r\nBcc: v@example.com"),
    "line separator": "Hi\u2028Bcc: v@example.com",
    "paragraph separator": "Hi\u2029Bcc: v@example.com",
    "next line": "Hi\u0085Bcc: v@example.com",
    "vertical tab, form feed": "Hi\x0bBcc: v@example.com\x0cX: y\x1cZ: w",
    "encoded separators": q("Hi\u2028Bcc: v\u0085X: y"),
    "surrogates": "Hi \ud800\udc00 \udfff Bcc",
    "surrogate escapes": "Hi\udc0d\udc0aBcc: v@example.com",
    "5,000 characters": "x" * 5000,
    "5,000 words": "word " * 5000,
    "5,000 encoded": q(INJECTED) * 60,
    "5,000 emoji": "\N{PILE OF POO}" * 5000,
    "right to left": "\N{RIGHT-TO-LEFT OVERRIDE}שלום עולם Bcc: v@example.com",
    "family": "👩‍👩‍👧‍👦 =?utf-8?q?x?= 👩‍👩‍👧‍👦",
    "combining": "e\N{COMBINING ACUTE ACCENT}" * 60,
    "dots": ".\r\n.\r\nBcc: v@example.com",
    "spaces": "   Hi    there   ",
    "only spaces": "   ",
    "empty": "",
    "a header": "Bcc: v@example.com",
    "comma, quotes": 'a, "b" <c@d> (e) \\ ; f:g',
    "mark": "\ufeffHi\ufeff",
}  # fmt: skip


def composed(subject: str, sender: Address = SENDER, to: str = "ann@example.org") -> Envelope:
    mail = Mail(
        id="m1",
        message_id="<m1@notifyx.test>",
        to=to,
        context=NotificationContext(),
        unsubscribe_url="https://notifyx.test/unsubscribe?token=abc",
    )
    return compose(mail, Rendered(subject, TEXT, "<p>Html</p>\n"), sender, NOW)


def received(envelope: Envelope) -> EmailMessage:
    """What a receiver parses, after the checks that hold for every email."""
    raw = envelope.message
    assert envelope.utf8 or raw.isascii()
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert sorted(message.keys()) == sorted(NAMES)
    assert not message.defects
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert text.get_content().replace("\r\n", "\n") == TEXT
    assert html is not None
    assert html.get_content().replace("\r\n", "\n") == "<p>Html</p>\n"
    assert len(list(message.iter_parts())) == 2
    assert message.preamble is None
    return message


def sender_name(envelope: Envelope) -> str:
    """The display name in From, by the decoder that joins adjacent encoded words also in older Pythons."""
    name, _ = parseaddr(email.message_from_bytes(envelope.message)["From"])
    return str(make_header(decode_header(name)))


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_a_title_is_read_as_it_was_written_and_adds_nothing(attempt: str, tmp_path: Path) -> None:
    envelope = composed(attempt)
    wanted = printable_line(attempt)
    message = received(envelope)
    assert str(message["Subject"]) == wanted
    older = email.message_from_bytes(envelope.message)
    assert str(make_header(decode_header(older["Subject"]))) == wanted, "another decoder reads the same"
    box = Mailbox(tmp_path)
    content = box.get(box.add(envelope.message))
    assert content is not None
    assert content.summary.subject == wanted
    assert [name for name, _ in content.headers] == list(message.keys())
    assert content.text is not None
    assert content.text.replace("\r\n", "\n") == TEXT


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_a_display_name_is_read_as_it_was_written_and_adds_nothing(attempt: str) -> None:
    name = one_line(attempt, 200)
    envelope = composed("Hello", Address(name, addr_spec="notifyx@example.org"))
    message = received(envelope)
    assert [one.addr_spec for one in message["From"].addresses] == ["notifyx@example.org"]
    assert sender_name(envelope) == name


@settings(max_examples=300, deadline=None)
@given(title=st.text(max_size=300), name=st.text(max_size=100))
def test_any_text_is_read_as_it_was_written(title: str, name: str) -> None:
    display = " ".join(printable_line(name).split())
    envelope = composed(title, Address(display, addr_spec="notifyx@example.org"))
    assert str(received(envelope)["Subject"]) == printable_line(title)
    assert sender_name(envelope) == display


PIECES = st.sampled_from(["=?", "?=", "utf-8", "?q?", "?b?", "=0D=0A", "Bcc:", "_", " ", "\r\n", "SGkNCg==", "ü", "😀"])


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join))
def test_any_text_made_of_encoded_words_is_read_as_it_was_written(title: str) -> None:
    assert str(received(composed(title))["Subject"]) == printable_line(title)


@given(st.text(max_size=400))
def test_lines_with_encoded_words_are_within_the_limit_of_their_standard(text: str) -> None:
    for line in text_header("Subject", text).removesuffix(b"\r\n").split(b"\r\n"):
        assert len(line) <= 76
        assert line.strip() or not text.strip()


@pytest.mark.parametrize("text", ["Disk full on node-7", "[ops] a=b? c@d: (e)", "word " * 39 + "end"])
def test_plain_text_stays_readable_in_the_raw_email(text: str) -> None:
    assert text_header("Subject", text).replace(b"\r\n ", b" ") == f"Subject: {text}\r\n".encode()


@pytest.mark.parametrize(
    "address",
    [
        "=?utf-8?q?a=0D=0ABcc:_v@example.com?=@example.org",
        "=?utf-8?q?a=0D=0ABcc?=@example.org",
        "a=?utf-8?q?=0D=0ABcc?=@example.org",
        "a@=?utf-8?q?=0D=0ABcc?=",
        "a@example.org(=0D=0A)",
        "a\x85b@example.org",
        "a\x9bb@example.org",
    ],
)
def test_an_address_that_a_reader_could_decode_is_refused(address: str) -> None:
    with pytest.raises(MailRejected) as caught:
        composed("Hello", to=address)
    assert caught.value.about == "address"


@pytest.mark.parametrize(
    "address", ["o'hara+x@example.org", "a(b)[c]\\@example.org", "ann@[192.0.2.1]", "jörg@bücher.example"]
)
def test_awkward_addresses_stay_the_only_recipient(address: str) -> None:
    envelope = composed("Grüße", to=address)
    assert envelope.recipient == parse_recipient(address).addr_spec
    message = email.message_from_string(envelope.message.decode(), policy=email.policy.default.clone(utf8=True))
    assert sorted(message.keys()) == sorted(NAMES)
    assert [one.addr_spec for one in message["To"].addresses] == [envelope.recipient]


def test_a_header_of_one_word_takes_nothing_else() -> None:
    for value in ("", "a\r\nBcc: x", "a\tb", "ü", "=?utf-8?q?x?=", "a  b", " a", "x" * 1000):
        with pytest.raises(HeadersUnsafe):
            word_header("X-Word", value)
    with pytest.raises(HeadersUnsafe):
        address_header("To", Address("Ann", username="=?utf-8?q?x?=", domain="example.org"))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"From: a\r\nTo: b",
        b"From: a\r\nTo: b\r\nBcc: c\r\n\r\nbody",
        b"From: a\r\n\r\nTo: b\r\n\r\nbody",
        b"From: a\r\nTo: b\r\nTo: c\r\n\r\nbody",
        b"From: a\nBcc: c\r\nTo: b\r\n\r\nbody",
        b"From: a\rBcc: c\r\nTo: b\r\n\r\nbody",
        b"From: a\x00\r\nTo: b\r\n\r\nbody",
        b" From: a\r\nFrom: a\r\nTo: b\r\n\r\nbody",
        b"From: a\r\nTo b\r\n\r\nbody",
        b"From: a\r\nTo : b\r\n\r\nbody",
        b"From: a\r\n \r\nTo: b\r\n\r\nbody",
        b"From: a\r\nTo: " + b"b" * 999 + b"\r\n\r\nbody",
    ],
)
def test_the_last_check_refuses_what_is_not_exactly_the_headers_that_were_set(raw: bytes) -> None:
    with pytest.raises(HeadersUnsafe):
        require_names(raw, ["From", "To"])
    require_names(b"To: b\r\n c\r\nFrom: a\r\n\r\nTo: x\r\n\r\nBcc: y", ["From", "To"])
