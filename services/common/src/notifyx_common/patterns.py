"""The pattern of an email address, and the words for texts that do not match one."""

from __future__ import annotations

from collections.abc import Mapping

from notifyx_topics.words import WORDS as TOPIC_WORDS

EMAIL = r"^[^@\s<>,;:\"\x00-\x1f\x7f]{1,64}@[^@\s<>,;:\"\x00-\x1f\x7f]+$"

WORDS: Mapping[str, str] = {**TOPIC_WORDS, EMAIL: "This is no email address, such as ada@example.com."}
