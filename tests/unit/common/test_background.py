"""The kit of background work: what is a fault and what is not, how tasks end, and how periodic work goes on."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterable

import pytest
from structlog.testing import capture_logs

from notifyx_common.background import Background, Fault, Tasks, TooManyTasks, every
from notifyx_common.backoff import Backoff
from notifyx_common.errors import Unavailable
from notifyx_common.metrics import Metrics
from notifyx_common.serving.web import Readiness
from support.patience import PATIENCE

QUICK = Backoff(0.001, 0.001)


class Stage:
    """A service's background work, with what it counts and says."""

    def __init__(self) -> None:
        self.metrics, self.readiness = Metrics(), Readiness()
        self.background = Background(self.metrics)
        self.readiness.follow(self.background)
        self.faults: list[Fault] = []
        self.background.listen(self.faults.append)

    def failures(self, task: str, kind: str) -> float | None:
        labels = {"task": task, "kind": kind}
        return self.metrics.registry.get_sample_value("notifyx_background_failures_total", labels)


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def forever() -> None:
    await asyncio.Event().wait()


async def raises() -> None:
    raise ZeroDivisionError("a defect")


async def returns() -> None:
    pass


@pytest.mark.parametrize(
    ("work", "how"),
    [(raises, "failed (ZeroDivisionError)"), (returns, "returned"), (forever, "was cancelled")],
)
async def test_the_end_of_an_endless_task_is_a_fault(stage: Stage, work: type, how: str) -> None:
    with capture_logs() as logs:
        async with stage.background.tasks() as tasks:
            task = tasks.endless("feed", work())
            assert list(stage.background.endless) == ["feed"]
            if work is forever:
                task.cancel()
            await asyncio.wait([task])
            await asyncio.sleep(0)
    assert [(fault.task, fault.how) for fault in stage.faults] == [("feed", how)]
    assert stage.background.endless == {}
    assert stage.failures("feed", "endless") == 1
    sentence = f"The background task 'feed' {how}; this node stops and has to be started again."
    assert await stage.readiness.failures() == {"task feed": sentence}
    assert [(entry["log_level"], entry["reason"]) for entry in logs] == [("critical", sentence)]
    stage.readiness.drain()
    assert (await stage.readiness.failures())["task feed"] == sentence


async def test_a_fault_inside_a_task_group_is_named_by_its_cause(stage: Stage) -> None:
    async def grouped() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(raises())

    async with stage.background.tasks() as tasks:
        await asyncio.wait([tasks.endless("registration", grouped())])
    assert stage.faults[0].how == "failed (ZeroDivisionError)"


async def test_whoever_listens_late_hears_of_the_fault_as_well(stage: Stage) -> None:
    stage.background.report("kopf", "ended")
    stage.background.report("feed", "returned")
    heard: list[Fault] = []
    stage.background.listen(heard.append)
    assert [fault.task for fault in heard] == [fault.task for fault in stage.faults] == ["kopf", "feed"]
    assert stage.background.fault == heard[0]


async def test_what_its_owner_ends_is_no_fault(stage: Stage) -> None:
    async with stage.background.tasks() as tasks:
        task = tasks.endless("feed", forever())
    assert task.cancelled()
    assert stage.faults == []
    async with stage.background:
        stage.background.tasks().endless("feed", forever())
        await asyncio.sleep(0)
    assert stage.faults == []


async def test_an_owner_may_let_its_tasks_finish(stage: Stage) -> None:
    stop = asyncio.Event()

    async def until_told() -> None:
        await stop.wait()

    tasks = stage.background.tasks()
    told = tasks.endless("server", until_told())
    late = tasks.endless("late", forever())
    stop.set()
    await tasks.finish(0.05)
    assert told.done()
    assert not told.cancelled()
    assert late.cancelled()
    assert stage.faults == []


async def test_two_endless_tasks_never_share_a_name(stage: Stage) -> None:
    async with stage.background.tasks() as tasks:
        tasks.endless("feed", forever())
        with pytest.raises(ValueError, match="feed"):
            stage.background.tasks().endless("feed", forever())


async def test_a_bounded_task_that_fails_is_reported_and_ends_nothing(stage: Stage) -> None:
    with capture_logs() as logs:
        async with stage.background.tasks() as tasks:
            tasks.spawn("heal", raises())
            await tasks.settled()
            with tasks.contained("round", away=(Unavailable,)):
                raise ZeroDivisionError
            with pytest.raises(Unavailable), tasks.contained("round", away=(Unavailable,)):
                raise Unavailable("The store is away.")
    assert (stage.failures("heal", "bounded"), stage.failures("round", "bounded")) == (1, 1)
    assert [(entry["event"], entry["task"]) for entry in logs] == [
        ("background_task_failed", "heal"),
        ("background_task_failed", "round"),
    ]
    assert stage.faults == []


async def test_the_outcome_of_shared_work_is_for_those_who_wait(stage: Stage) -> None:
    with capture_logs() as logs:
        async with stage.background.tasks() as tasks:
            with pytest.raises(ZeroDivisionError):
                await tasks.shared("load", raises())
            tasks.shared("load", raises())  # and nobody has to
            await tasks.settled()
            gc.collect()
    assert logs == []
    assert stage.failures("load", "bounded") is None


async def test_a_set_of_tasks_is_bounded(stage: Stage) -> None:
    async with stage.background.tasks(limit=2) as tasks:
        tasks.spawn("mail", forever())
        tasks.spawn("mail", forever())
        with pytest.raises(TooManyTasks):
            tasks.spawn("mail", forever())
        assert len(tasks) == 2


async def test_nothing_runs_after_the_close(stage: Stage) -> None:
    ran: list[str] = []

    async def run() -> None:
        ran.append("it ran")

    tasks = stage.background.tasks()
    await tasks.close()
    late = tasks.spawn("late", run())
    await asyncio.wait([late])
    assert late.cancelled()
    assert ran == []


async def test_a_close_has_a_deadline(stage: Stage) -> None:
    ended = asyncio.Event()

    async def stubborn() -> None:
        try:
            await forever()
        finally:
            await ended.wait()

    tasks = stage.background.tasks()
    task = tasks.spawn("stubborn", stubborn())
    await asyncio.sleep(0)
    with capture_logs() as logs:
        await tasks.close(within=0.02)
    assert [(entry["event"], entry["tasks"]) for entry in logs] == [("tasks_still_running", ["stubborn"])]
    ended.set()
    await asyncio.wait([task])


async def test_a_task_that_closes_its_own_set_does_not_wait_for_itself(stage: Stage) -> None:
    tasks = stage.background.tasks()

    async def closes() -> str:
        await tasks.close()
        return "closed"

    async with asyncio.timeout(PATIENCE):
        assert await tasks.shared("closes", closes()) == "closed"


class Steps:
    """A step of periodic work that does what it is told, one word a round; the last round cancels the loop."""

    def __init__(self, *words: object) -> None:
        self.words = list(words)
        self.at: list[float] = []
        self.wake = asyncio.Event()

    async def __call__(self) -> float | None:
        self.at.append(time.monotonic())
        word = self.words.pop(0) if self.words else asyncio.CancelledError()
        if isinstance(word, BaseException):
            raise word
        if word == "hang":
            await forever()
        return word if isinstance(word, float) else None

    @property
    def pauses(self) -> Iterable[float]:
        return [after - before for before, after in zip(self.at, self.at[1:], strict=False)]


async def cancelled(work: asyncio.Future[None]) -> None:
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(PATIENCE):
            await work


async def test_a_step_is_repeated_after_its_interval_or_after_the_pause_it_wants() -> None:
    steps = Steps(None, None, None, 0.3)
    await cancelled(asyncio.ensure_future(every(0.01, steps, jitter=(1.0, 1.0))))
    *short, long = steps.pauses
    assert 0.01 <= min(short) < 0.3 <= long


async def test_an_event_ends_a_pause_but_not_the_least_one() -> None:
    steps = Steps(None, None)
    loop = asyncio.ensure_future(every(None, steps, wake=steps.wake, min_pause=0.03))
    while len(steps.at) < 2:
        steps.wake.set()
        await asyncio.sleep(0)
    steps.wake.set()
    await cancelled(loop)
    assert all(pause >= 0.03 for pause in steps.pauses)


async def test_work_that_waits_first_begins_when_woken() -> None:
    steps = Steps()
    loop = asyncio.ensure_future(every(None, steps, wake=steps.wake, wait_first=True))
    await asyncio.sleep(0.01)
    assert steps.at == []
    steps.wake.set()
    await cancelled(loop)


async def test_a_dependency_that_is_away_is_waited_out_and_said_once() -> None:
    away = Unavailable("The database is away.")
    steps = Steps(away, away, away, None, away)
    with capture_logs() as logs:
        await cancelled(asyncio.ensure_future(every(0.001, steps, away=(Unavailable,), backoff=QUICK)))
    assert [entry["event"] for entry in logs] == [
        "background_work_waiting",
        "background_work_resumed",
        "background_work_waiting",
    ]
    assert (logs[0]["error"], logs[0]["reason"], logs[1]["failures"]) == ("Unavailable", "The database is away.", 3)


async def test_a_step_that_hides_its_cancellation_is_the_last() -> None:
    began, rounds = asyncio.Event(), 0

    async def step() -> None:
        nonlocal rounds
        rounds += 1
        if rounds > 1:
            raise AssertionError("it went on")
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise Unavailable("The connection was lost.") from None

    loop = asyncio.ensure_future(every(0.001, step, away=(Unavailable,), backoff=QUICK))
    await began.wait()
    loop.cancel()
    await cancelled(loop)


async def test_a_step_that_takes_too_long_is_repeated() -> None:
    steps = Steps("hang", "hang")
    await cancelled(asyncio.ensure_future(every(0.001, steps, deadline=0.01, backoff=QUICK)))
    assert len(steps.at) == 3


@pytest.mark.parametrize("defect", [ZeroDivisionError(), TimeoutError()])
async def test_anything_else_is_a_defect_and_ends_the_loop(stage: Stage, defect: Exception) -> None:
    async with stage.background.tasks() as tasks:
        loop = tasks.endless("upkeep", every(0.001, Steps(None, defect), away=(Unavailable,), deadline=5.0))
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait([loop])
    assert stage.faults == [Fault("upkeep", f"failed ({type(defect).__name__})", defect)]


async def test_tracking_a_task_costs_next_to_nothing(stage: Stage) -> None:
    """As much as a task that is kept in a set by hand, which is what hot paths did before."""
    kept: set[asyncio.Task[None]] = set()
    tasks = Tasks(stage.background)

    def by_hand() -> None:
        task = asyncio.create_task(returns(), name="request")
        kept.add(task)
        task.add_done_callback(kept.discard)

    async def seconds(start: object) -> float:
        assert callable(start)
        began = time.process_time()
        for _ in range(4):
            for _ in range(500):
                start()
            while kept or len(tasks):
                await asyncio.sleep(0)
        return time.process_time() - began

    pairs = [(await seconds(by_hand), await seconds(lambda: tasks.spawn("request", returns()))) for _ in range(5)]
    assert min(mine for _, mine in pairs) < 3 * min(hand for hand, _ in pairs), pairs
