"""The policies that can be compared: what this service does, what others do, and what only a clairvoyant could."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reliable_email.simulate.policies.clairvoyant import Clairvoyant
from reliable_email.simulate.policies.envoy import EnvoyLike
from reliable_email.simulate.policies.p2c import PeakEwma
from reliable_email.simulate.policies.product import Product
from reliable_email.simulate.policies.simple import FixedOrder, RoundRobin, WeightedRandom
from reliable_email.simulate.policies.sre import AdaptiveThrottling
from reliable_email.simulate.policies.thompson import Thompson
from reliable_email.simulate.world import Policy

#: What everything is measured against.
YARDSTICK: Final = Clairvoyant.name
#: This service.
OURS: Final = Product.name
#: What needs no memory: the least that a comparison must include.
SIMPLE: Final = (FixedOrder.name, RoundRobin.name, WeightedRandom.name)

POLICIES: Final[dict[str, Callable[[], Policy]]] = {
    policy.name: policy
    for policy in (
        FixedOrder,
        RoundRobin,
        WeightedRandom,
        EnvoyLike,
        AdaptiveThrottling,
        PeakEwma,
        Thompson,
        Product,
        Clairvoyant,
    )
}
