"""Names are one line, whoever divides a text into lines."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from notifyx_common.contracts.auth import Name, NewApiKey
from notifyx_common.contracts.hooks import NewHook

NAME: TypeAdapter[str] = TypeAdapter(Name)


@pytest.mark.parametrize("end", [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), "\u2028", "\u2029"])
def test_a_name_has_no_line_end_or_control_character(end: str) -> None:
    name = f"a{end}b"
    for read in (
        NAME.validate_python,
        lambda name: NewApiKey(name=name),
        lambda name: NewHook(kind="github", name=name),
    ):
        with pytest.raises(ValidationError):
            read(name)


def test_other_names_are_lines() -> None:
    for name in ("Ada", "Zo\u00eb \u00a0 \u2019", "\u674e", "\u0639\u0644\u064a"):
        assert NAME.validate_python(name) == name
        assert len(name.splitlines()) == 1
