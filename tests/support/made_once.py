"""What is the same for each node, made once a process: the tests make thousands of nodes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, TypeVar
from weakref import WeakSet

import pytest
from pydantic_settings import BaseSettings
from tortoise.apps import Apps

S = TypeVar("S", bound=BaseSettings)


def settings(kind: type[S], values: dict[str, Any]) -> S:
    """Return settings of ``values`` alone: to look for each setting in the environment takes 2 to 4 ms."""
    made = kind.__new__(kind)
    kind.__pydantic_validator__.validate_python(values, self_instance=made)
    return made


@contextlib.contextmanager
def models_prepared_once() -> Iterator[None]:
    """Let Tortoise prepare the queries and filters of models once: a third of what a start of auth takes."""
    prepare = Apps._build_initial_querysets
    prepared: WeakSet[type] = WeakSet()

    def prepare_once(apps: Apps) -> None:
        models = {model for app in apps.apps.values() for model in app.values()}
        if not prepared.issuperset(models):
            prepare(apps)
            prepared.update(models)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Apps, "_build_initial_querysets", prepare_once)
        yield
