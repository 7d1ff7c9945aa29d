"""Protections that can be taken out: they are still where they were, and each kind of fault has one."""

from __future__ import annotations

from typing import get_args

from chaos.histories.mutations import MUTATIONS
from chaos.histories.targets import OF_CLUSTERS, FaultKind


def test_each_protection_is_still_there_and_comes_back() -> None:
    for mutation in MUTATIONS:
        with mutation.removed("notifyx"):
            pass


def test_each_kind_of_fault_on_one_machine_has_a_protection() -> None:
    kinds = {kind for mutation in MUTATIONS for kind in mutation.faults}
    assert kinds == set(get_args(FaultKind)) - set(OF_CLUSTERS)
