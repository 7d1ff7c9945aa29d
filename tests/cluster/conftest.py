"""One cluster and one installed platform for all tests here; the order is that of a platform's life."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator, Iterator

import pytest

from cluster.images.build import notifyx_images, peer_images
from cluster.install import Installed, install, remove
from cluster.kube import Kube
from cluster.provider import Cluster, Image, NoCluster, Say, choose, running, wanted_families, wanted_provider
from cluster.state import cluster_state

ORDER = (
    "install", "access", "topics", "clients", "optional", "discovery", "scaling", "breakdowns", "upgrade", "backup",
    "uninstall",
)  # fmt: skip


CLUSTER = pytest.StashKey[Cluster]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--context", default="", help="a cluster of your own, by its context in your kubeconfig")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the modules by the life of a platform, and give tests of clusters the time that they need."""

    def place(item: pytest.Item) -> int:
        name = item.path.stem.removeprefix("test_")
        return ORDER.index(name) if name in ORDER else len(ORDER)

    items.sort(key=place)
    for item in items:
        if item.get_closest_marker("timeout") is None:
            # What is built and started before the first test has deadlines of its own: from nothing it takes longer.
            item.add_marker(pytest.mark.timeout(600, func_only=True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failure how the cluster is at that moment."""
    report = yield
    if report.failed and CLUSTER in item.config.stash:
        report.sections.append(("the cluster", cluster_state(item.config.stash[CLUSTER])))
    return report


@pytest.fixture(scope="session")
def say(pytestconfig: pytest.Config) -> Say:
    """Progress for who waits, past pytest's capturing."""
    capturing = pytestconfig.pluginmanager.get_plugin("capturemanager")
    assert capturing is not None
    start = time.monotonic()

    def line(text: str) -> None:
        with capturing.global_and_fixture_disabled():
            print(f"{time.monotonic() - start:6.1f} s  {text}", file=sys.stderr, flush=True)

    return line


@pytest.fixture(scope="session")
def images(say: Say) -> list[Image]:
    """Our own images, and those of PostgreSQL, memcached and Prometheus."""
    try:
        return [*notifyx_images(say), *peer_images(say)]
    except NoCluster as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def keep() -> bool:
    """``NOTIFYX_CLUSTER_KEEP``: leave everything as it is, for who looks into what failed."""
    return bool(os.environ.get("NOTIFYX_CLUSTER_KEEP"))


@pytest.fixture(scope="session")
def stays(pytestconfig: pytest.Config, keep: bool) -> bool:
    """Whether the cluster outlives the tests: it was there before them."""
    return keep or bool(pytestconfig.getoption("--context")) or running(wanted_provider()) is not None


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config, images: list[Image], stays: bool, say: Say) -> Iterator[Cluster]:
    """The running cluster, which knows the images; one that was started for the tests ends with them."""
    context = pytestconfig.getoption("--context")
    try:
        found = choose(context=context, way=wanted_provider(), families=wanted_families(), images=images, say=say)
    except NoCluster as error:
        pytest.fail(str(error), pytrace=False)
    pytestconfig.stash[CLUSTER] = found
    yield found
    if not stays:
        found.down(say)


@pytest.fixture(scope="session")
def kube(cluster: Cluster) -> Kube:
    return Kube(cluster)


@pytest.fixture(scope="session")
def installed(
    cluster: Cluster, kube: Kube, images: list[Image], keep: bool, stays: bool, say: Say
) -> Iterator[Installed]:
    """The platform, installed with helm as the README says, and ready. A cluster that stays is left without it."""
    say("installing the chart")
    platform = install(cluster, kube, images)
    say("the platform is ready")
    yield platform
    if stays and not keep:
        remove(platform)


@pytest.fixture
def mailed(installed: Installed) -> Iterator[Installed]:
    """The platform, with a way to its mailbox."""
    with installed.with_mailbox() as platform:
        yield platform
