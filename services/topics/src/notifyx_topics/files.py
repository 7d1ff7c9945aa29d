"""Reads topic files: YAML with one or more NotifyxTopics, as strictly as ``kubectl apply``.

Needs PyYAML, the package's extra ``yaml``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from notifyx_topics.resource import KIND, InvalidResource, Resource, parse

MAX_FIELDS = 10_000
"""Maximum number of fields of a mapping, with those of its merge keys."""


class InvalidFile(ValueError):
    """A topic file is invalid; ``reason`` names the location and the mistake."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_documents(place: str, text: str) -> Iterator[tuple[str, Resource]]:
    """Yield each NotifyxTopic of ``text`` with its location in ``place``. Raises :class:`InvalidFile`."""
    for number, document in enumerate(_documents(place, text), 1):
        where = f"{place}, document {number}"
        if document is None:
            continue
        if not isinstance(document, Mapping):
            raise InvalidFile(f"{where}: a {KIND} is a mapping of fields.")
        if document.get("kind") not in (None, KIND):
            raise InvalidFile(f"{where} is a {document['kind']}; only {KIND}s can be applied here.")
        try:
            yield where, parse(document)
        except InvalidResource as error:
            raise InvalidFile(f"{where}: {error.reason}") from None


def _documents(place: str, text: str) -> list[Any]:
    import yaml  # noqa: PLC0415 - it takes a while to load, and is an extra

    class Loader(yaml.SafeLoader):
        """Bounds what merge keys (``<<``) make: each may name the mapping before it several times."""

        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            super().flatten_mapping(node)
            if len(node.value) > MAX_FIELDS:
                raise yaml.constructor.ConstructorError(None, None, "a mapping has too many fields", node.start_mark)

    try:
        return list(yaml.load_all(text, Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        spot = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise InvalidFile(f"{place}{spot}: this is not valid YAML ({error.problem}).") from None
    except yaml.YAMLError as error:
        raise InvalidFile(f"{place} cannot be read as YAML ({error}).") from None
    except RecursionError:
        raise InvalidFile(f"{place} is nested too deeply.") from None
    except (ValueError, LookupError, ArithmeticError, AttributeError):  # PyYAML's for 2026-02-30, !!bool x, !!int ''
        raise InvalidFile(f"{place} holds a date, a number or a tagged value that does not exist.") from None
