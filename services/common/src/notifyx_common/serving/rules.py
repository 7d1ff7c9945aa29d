"""The app of all services: its rules cost little to add, and what it answers errors with leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quart import Quart
from quart.routing import QuartRule
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from notifyx_common.serving.frames import release_frames


class Rule(QuartRule):
    """A rule that compiles the functions that build its URLs when one is built.

    werkzeug compiles two for each rule when the rule is added: half of the time in which a node is made. URLs of a
    service are matched, and almost never built.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        compile_builder = super()._compile_builder

        def build(rule: Rule, **values: Any) -> tuple[str, str]:
            return compile_builder(append_unknown)(rule, **values)

        return build


class App(Quart):
    """A Quart app with such rules."""

    url_rule_class = Rule

    async def handle_user_exception(self, error: Exception) -> HTTPException | ResponseReturnValue:
        """Return the answer to ``error``, which keeps nothing of the request then."""
        answer = await super().handle_user_exception(error)
        release_frames(error)
        return answer
