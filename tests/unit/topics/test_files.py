"""Topic files that no YAML reader makes anything of, or gigabytes, are refused in a sentence."""

from __future__ import annotations

import pytest

from notifyx_topics.files import InvalidFile, read_documents
from notifyx_topics.resource import MAX_CHARACTERS

TOO_LARGE = f"topics.yaml, document 1: the document has more than {MAX_CHARACTERS:,} characters, aliases included."
TENFOLD = ",".join(["*a"] * 10)


NO_SUCH_VALUE = "topics.yaml holds a date, a number or a tagged value that does not exist."


def laughs(first: str, following: str) -> str:
    """Ten lines, each with the one before it nine times."""
    lines = [f"a0: &a0 {first}", *(f"a{n}: &a{n} {following}" % ",".join([f"*a{n - 1}"] * 9) for n in range(1, 10))]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 2026-02-30", NO_SUCH_VALUE),
        ("!!int x", NO_SUCH_VALUE),
        ("a: !!int", NO_SUCH_VALUE),
        (f"a: !!float {'1:' * 400}1", NO_SUCH_VALUE),
        ("!!bool x", NO_SUCH_VALUE),
        ("!!timestamp x", NO_SUCH_VALUE),
        ("[" * 2000 + "]" * 2000, "topics.yaml is nested too deeply."),
        (laughs("[lol]", "[%s]"), TOO_LARGE),
        (f"a: &a {'x' * 300_000}\nb: [{TENFOLD}]", TOO_LARGE),
        (
            laughs("{x: 1}", "{<<: [%s]}"),
            "topics.yaml, line 6, column 5: this is not valid YAML (a mapping has too many fields).",
        ),
        ("a: &a [*a]", "topics.yaml, document 1: the document holds what JSON has no form for."),
    ],
    ids=[
        "date",
        "int",
        "empty int",
        "endless float",
        "bool",
        "timestamp",
        "depth",
        "aliases",
        "long aliases",
        "merge keys",
        "endless",
    ],
)
def test_a_value_that_cannot_be_made_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(InvalidFile) as rejected:
        list(read_documents("topics.yaml", text))
    assert rejected.value.reason == sentence
