"""Fixtures every test may use: real servers, started once a session and only when asked for."""

# ruff: noqa: E402  # what is measured is imported after the measurement has started
from __future__ import annotations

import contextlib
import gc
import signal
from collections.abc import AsyncIterator, Generator, Iterator

import hypothesis
import pytest
from xdist import is_xdist_worker

from support.measured import start

_MEASUREMENT = start()

from notifyx_local.postgres import Cluster
from support.cluster_copy import running_postgres
from support.made_once import models_prepared_once
from support.platform import Platform, small_platform
from support.postgres import create_database, drop_database, fewer_sessions, types_read_once
from support.run_folder import run_folder_of_all
from support.sharing import Scheduling, Shared, group, in_order
from support.workers import forked_workers, web_build

# A shell that starts a run in the background lets it ignore Ctrl-C, and the run lets all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A property is never a timed test: these machines are noisy.
hypothesis.settings.register_profile("notifyx", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("notifyx")


PRINTED_LOG = 3000
"""Characters."""

_SHARED = pytest.StashKey[Shared]()
_COVERAGE = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Hold what a group of files shares."""
    config.stash[_SHARED] = shared = Shared()
    config.add_cleanup(shared.leave)  # a run may be ended before a group is


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Remove an earlier run's coverage, make this one's folder, and let workers be forked, before they start."""
    config = session.config
    if is_xdist_worker(session) or config.option.collectonly:
        return
    if _MEASUREMENT is not None:
        _MEASUREMENT.clear()
    stack = contextlib.ExitStack()
    config.add_cleanup(stack.close)
    stack.enter_context(run_folder_of_all())
    if config.getoption("numprocesses", None):
        if not config.option.file_or_dir:
            stack.enter_context(web_build())
        stack.enter_context(forked_workers(*config.invocation_params.args))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what this process ran. The first process, which ends last, sums it up, and fails the run if it is low."""
    if _MEASUREMENT is None or session.config.option.collectonly:
        return
    _MEASUREMENT.save()
    if not is_xdist_worker(session):
        table, enough = _MEASUREMENT.report()
        session.config.stash[_COVERAGE] = table
        if not enough and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the coverage."""
    if _COVERAGE in config.stash:
        terminalreporter.section("coverage")
        terminalreporter.write_line(config.stash[_COVERAGE])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in the order of their groups."""
    items[:] = in_order(items)


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of collections of garbage, which took a seventh of the tests' time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """End what the group shares after its last test."""
    yield
    if nextitem is None or group(nextitem.path) != group(item.path):
        item.config.stash[_SHARED].leave()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Print what the platform of a failed test logged at last; it is gone with the run."""
    report = yield
    used = getattr(item, "funcargs", {}).get("platform")
    if report.failed and isinstance(used, Platform):
        report.sections.append(("Last of the platform's log", used.log()[-PRINTED_LOG:]))
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling | None:
    """Return the scheduler of ``--dist loadgroup``, in place of xdist's own."""
    return Scheduling(config, log) if config.getoption("dist") == "loadgroup" else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A real PostgreSQL server of this test session."""
    with running_postgres() as cluster, types_read_once(), models_prepared_once(), fewer_sessions(cluster):
        yield cluster


@pytest.fixture
async def database(postgres: Cluster) -> AsyncIterator[str]:
    """The URL of an empty database that only this test uses."""
    url = await create_database(postgres)
    yield url
    await drop_database(postgres, url)


@pytest.fixture(scope="session")
def shared(pytestconfig: pytest.Config) -> Shared:
    """What the group of files that runs now shares."""
    return pytestconfig.stash[_SHARED]


@pytest.fixture(scope="module")
def platform(shared: Shared) -> Platform:
    """The whole platform, started once a group of files by ``notifyx up``."""
    return shared.enter(small_platform)
