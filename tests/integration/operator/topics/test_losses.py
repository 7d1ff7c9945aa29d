"""An unavailable store: nothing hangs, nothing is deleted by mistake, and the status says what is awaited."""

from __future__ import annotations

from support.operator_kube import Kube, Operator, Store
from support.patience import until


async def test_a_topic_waits_for_its_store(kube: Kube, store: Store, operator: Operator) -> None:
    store.silent()
    async with operator(store_deadline=1.0):
        await kube.topic()
        await until(lambda: kube.condition("Synced") == ("Unknown", "StoreUnavailable"), "it says what is missing")
        assert kube.condition("Ready") == ("False", "StoreUnavailable")
        store.here()
        await kube.synced()
        await until(lambda: kube.events() == ["StoreUnavailable", "TopicCreated"], "each is told once")


async def test_a_deleted_resource_waits_for_a_store_that_is_away_for_a_moment(
    kube: Kube, store: Store, operator: Operator
) -> None:
    async with operator():
        await kube.topic(deletionPolicy="Delete")
        await kube.synced()
        store.silent()
        await kube.delete()
        assert "deletionTimestamp" in kube.get()["metadata"]
        store.here()
        await kube.gone()
        assert await store.topic() is None


async def test_a_deleted_resource_goes_without_a_store_that_is_silent(
    kube: Kube, store: Store, operator: Operator
) -> None:
    async with operator(store_give_up=1.0, store_deadline=0.5):
        await kube.topic(deletionPolicy="Delete")
        await kube.synced()
        store.silent()
        await kube.delete()
        await kube.gone()
        assert kube.events()[-1] == "TopicKept"
        assert await store.topic() is not None
        store.here()

        async def released() -> bool:
            return (await store.topic() or {})["resource"] is None

        await until(released, "the topic passes to its creators when the store is back")


async def test_a_deleted_resource_goes_soon_where_no_store_is(kube: Kube, store: Store, operator: Operator) -> None:
    async with operator(store_gone=0.5, store_deadline=0.5, store_give_up=600):
        await kube.topic()
        await kube.synced()
        store.gone()
        await kube.delete()
        await kube.gone()
        assert kube.events()[-1] == "TopicKept"
