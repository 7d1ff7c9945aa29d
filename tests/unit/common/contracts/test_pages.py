"""Pages that share an answer come apart as they were put together."""

from __future__ import annotations

import orjson
import pytest

from notifyx_common.contracts.store.pages import SharedPages, encode_pages, split_pages
from notifyx_common.errors import UnexpectedAnswer

PAGE = b'{"items":[{"title":",\\"pages\\":["}],"next":null}'


@pytest.mark.parametrize("pages", [[PAGE, None, b"{}", PAGE], [None], [None, b"{}"], [PAGE]])
def test_pages_come_apart_as_they_were_put_together(pages: list[bytes | None]) -> None:
    content = encode_pages(pages)
    assert split_pages(content) == pages
    answer = SharedPages.model_validate_json(content)
    assert answer.pages == [orjson.loads(page) for page in pages if page is not None]


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"sizes":[2],"pages":[{"a":1}]}', b'{"sizes":7,"pages":[]}', b'{"sizes":[9],"pages":[{}]}'],
)
def test_an_answer_of_another_form_is_refused(content: bytes) -> None:
    with pytest.raises(UnexpectedAnswer):
        split_pages(content)
