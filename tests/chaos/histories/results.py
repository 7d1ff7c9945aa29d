"""The figures of histories that were run, kept in a file: a long run may be done in parts."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter

from chaos.histories.figures import Figures

_LINE: TypeAdapter[tuple[str, Figures]] = TypeAdapter(tuple[str, Figures])


class Results:
    """The sums so far, and the seeds that they are of. Without a file nothing is kept."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self.total = Figures()
        self.seeds: set[str] = set()
        for line in file.read_text().splitlines() if file is not None and file.exists() else ():
            self._count(*_LINE.validate_json(line))

    def add(self, seed: str, figures: Figures) -> None:
        """Count a history, and append it to the file."""
        self._count(seed, figures)
        if self._file is not None:
            with self._file.open("ab") as file:
                file.write(_LINE.dump_json((seed, figures)) + b"\n")

    def _count(self, seed: str, figures: Figures) -> None:
        self.seeds.add(seed)
        self.total.add(figures)
