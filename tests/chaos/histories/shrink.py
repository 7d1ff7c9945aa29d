"""Makes a failing plan smaller: fewer faults, fewer people, fewer operations. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.histories.plan import Plan


def smaller(plan: Plan) -> Iterator[Plan]:
    """Yield plans that are smaller than ``plan``, those that leave out most first."""
    yield from _without(plan, "faults")
    if len(plan.topics) > 1:
        for topic in plan.topics[1:]:
            yield _without_topic(plan, topic.name)
    for part in ("readers", "clients", "publishers"):
        yield from _without(plan, part)
    for number, publisher in enumerate(plan.publishers):
        if publisher.messages > 1:
            fewer = publisher.model_copy(update={"messages": publisher.messages // 2})
            yield plan.model_copy(
                update={"publishers": (*plan.publishers[:number], fewer, *plan.publishers[number + 1 :])}
            )
    for number, client in enumerate(plan.clients):
        if client.naps:
            awake = client.model_copy(update={"naps": ()})
            yield plan.model_copy(update={"clients": (*plan.clients[:number], awake, *plan.clients[number + 1 :])})


def _without(plan: Plan, part: str) -> Iterator[Plan]:
    members = getattr(plan, part)
    if len(members) > 3:
        half = len(members) // 2
        yield plan.model_copy(update={part: members[:half]})
        yield plan.model_copy(update={part: members[half:]})
    for number in range(len(members)):
        yield plan.model_copy(update={part: (*members[:number], *members[number + 1 :])})


def _without_topic(plan: Plan, name: str) -> Plan:
    def rest(topics: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(topic for topic in topics if topic != name)

    return plan.model_copy(
        update={
            "topics": tuple(topic for topic in plan.topics if topic.name != name),
            "readers": tuple(reader for reader in plan.readers if reader.topic != name),
            "publishers": tuple(
                one.model_copy(update={"topics": rest(one.topics)}) for one in plan.publishers if rest(one.topics)
            ),
            "clients": tuple(
                one.model_copy(update={"topics": rest(one.topics)}) for one in plan.clients if rest(one.topics)
            ),
        }
    )


class Shrinking:
    """The search for the smallest plan that fails, at most ``tries`` runs long."""

    def __init__(self, plan: Plan, tries: int) -> None:
        self.smallest = plan
        self._tries = tries
        self._candidates = smaller(plan)
        self._candidate = plan

    def next(self) -> Plan | None:
        """Return the plan to run next; ``None`` at the end. Tell whether it failed by :meth:`tell`."""
        candidate = next(self._candidates, None) if self._tries > 0 else None
        if candidate is not None:
            self._tries -= 1
            self._candidate = candidate
        return candidate

    def tell(self, *, failed: bool) -> None:
        """Go on from the plan that was run last if it failed, else with the next one."""
        if failed:
            self.smallest = self._candidate
            self._candidates = smaller(self._candidate)
