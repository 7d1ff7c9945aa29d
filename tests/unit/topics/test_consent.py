"""Names bound to namespaces."""

from __future__ import annotations

import pytest

from notifyx_topics.consent import NameRules

SHOP = {"shop": ["shop-*", "billing"], "web": ["web.*"]}


@pytest.mark.parametrize(
    ("patterns", "namespace", "name", "problem"),
    [
        ({}, "any", "anything", ""),
        (SHOP, "shop", "shop-orders", ""),
        (SHOP, "shop", "billing", ""),
        (SHOP, "shop", "billing-2", "Topics of the namespace shop may be called shop-* or billing."),
        (SHOP, "web", "webxa", "Topics of the namespace web may be called web.*."),
        (SHOP, "other", "orders", ""),
        (SHOP, "other", "shop-orders", "The name 'shop-orders' is for topics of the namespace shop."),
        ({**SHOP, "*": ["free-*"]}, "other", "free-1", ""),
        ({**SHOP, "*": ["free-*"]}, "shop", "free-1", "Topics of the namespace shop may be called shop-* or billing."),
        ({**SHOP, "*": ["*"]}, "other", "billing", "The name 'billing' is for topics of the namespace shop."),
        ({"*": ["free-*"]}, "other", "x", "Topics of namespaces without a rule may be called free-*."),
        ({"other": []}, "other", "x", "Topics of the namespace other may be called nothing: they may have none."),
    ],
)
def test_what_a_topic_may_be_called(patterns: dict[str, list[str]], namespace: str, name: str, problem: str) -> None:
    assert NameRules(patterns).problem(namespace, name) == problem


def test_the_rule_of_others_binds_nothing() -> None:
    rules = NameRules({"*": ["*"], "shop": ["shop-*"]})
    assert not rules.is_bound("other", "x")
    assert rules.is_bound("shop", "shop-1")
