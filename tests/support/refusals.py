"""What a call is refused with, for tests that compare."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest

from notifyx_common.errors import NotifyxError


async def refusal(call: Awaitable[Any]) -> tuple[int, str]:
    """The status and the code of a call that must be refused."""
    with pytest.raises(NotifyxError) as refused:
        await call
    return refused.value.http_status, refused.value.code
