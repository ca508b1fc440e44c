"""The courier: takes each leased message to a provider, and on to the next, until its lease has an end.

It decides with the pure functions of `shared.policy` and `judgement`; what it decides is put into
the mailbox of a provider's actor, or of the settler.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from services.sender import steps
from services.sender.account import Account
from services.sender.delivery import Delivery, short_hash
from services.sender.holdings import Holdings
from services.sender.judgement import Judgement, judge
from services.sender.provider_actor import ProviderActor
from services.sender.settler import Settler
from services.sender.works import Works
from shared.domain.message import Attempt, OnAmbiguous
from shared.domain.outcome import Next, Outcome, Verdict
from shared.policy.abilities import looks_inside
from shared.policy.backoff import ambiguous_delay_ms, retry_delay_ms
from shared.policy.priorities import Turn
from shared.policy.routing import Choice, choose, is_unable
from shared.policy.views import MessageView, RouteCode, WaitingCode
from shared.queue import Queue
from shared.queue.leases import Release, Settled, Settlement
from shared.runtime.dice import draw
from shared.runtime.logs import get_logger
from shared.runtime.metrics import Metrics
from shared.runtime.wake import Bell
from shared.settings.model import RetrySettings

#: What no provider can take now comes back after this, at least and at most.
_SHORTEST_WAIT_MS: Final = 200
_LONGEST_WAIT_MS: Final = 60_000
_UNKNOWN_WAIT_MS: Final = 1_000
#: How long a message with a strike waits while another one is in flight here.
_STRUCK_WAIT_MS: Final = 1_000
#: For so long nothing is leased of a flow whose head just found no provider.
_COOL_SECONDS: Final = 0.05
#: What a message waits for that was not handed over, where it cannot go at once.
_WAITING: Final = {"unreadable": WaitingCode.TURN, "paused": WaitingCode.PAUSED}

log = get_logger()


@dataclass(slots=True)
class Pool:
    """The providers of one pool, in this sender, and whose turn it is among its priorities.

    `looks_inside` says that one of them does not carry whatever has the right size.
    """

    name: str
    actors: tuple[ProviderActor, ...]
    turn: Turn = field(default_factory=Turn)
    looks_inside: bool = field(init=False)

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The state of each provider."""
        return tuple(actor.account for actor in self.actors)

    def __post_init__(self) -> None:
        self.looks_inside = any(looks_inside(account.view.capabilities) for account in self.accounts)


class Courier:
    """Routes deliveries and decides what follows each attempt. No call here waits."""

    def __init__(
        self,
        queue: Queue,
        retry: RetrySettings,
        holdings: Holdings,
        works: Works,
        settler: Settler,
        metrics: Metrics,
        bell: Bell,
    ) -> None:
        self._queue = queue
        #: How long messages wait that failed for now.
        self.retry = retry
        self._holdings = holdings
        self._works = works
        self._settler = settler
        self._metrics = metrics
        self._bell = bell
        self._actors: dict[str, ProviderActor] = {}
        self._struck: Delivery | None = None
        self.pools: dict[str, Pool] = {}
        self.is_draining = False

    def employ(self, actors: Iterable[ProviderActor], pools: Iterable[str]) -> None:
        """Work with these providers' actors, and with no others."""
        self._actors = {actor.name: actor for actor in actors}
        before, self.pools = self.pools, {}
        for name in pools:
            members = tuple(actor for actor in self._actors.values() if name in actor.account.settings.pools)
            self.pools[name] = Pool(name, members, before[name].turn if name in before else Turn())

    @property
    def actors(self) -> Iterable[ProviderActor]:
        """The actors of all providers."""
        return self._actors.values()

    def changed(self) -> None:
        """Let the dispatcher look again: a provider has room or changed its state."""
        self._bell.ring()

    # On the way

    def route(self, delivery: Delivery) -> None:
        """Send a fresh delivery on its way, or hand it back with the reason."""
        lease = delivery.lease
        if self.is_draining:
            self._release(delivery)
            return
        if lease.strikes:
            if self._struck is not None and self._holdings.is_held(self._struck):
                self._release(delivery, delay_ms=_STRUCK_WAIT_MS, waiting=WaitingCode.TURN)
                return
            self._struck = delivery
        choice = self._choose(delivery)
        if choice.provider is not None:
            self._send(delivery, choice)
        elif choice.is_impossible:
            self._release(delivery, fail="no_provider_can_carry")
        elif self._is_particular(delivery):
            self._release(delivery, delay_ms=_wait_ms(choice), waiting=choice.waiting or WaitingCode.TURN)
        else:
            # No provider takes any such message now: it keeps its place, and its flow is let alone for a moment.
            self._works.cool(lease.pool, lease.priority, time.monotonic() + _COOL_SECONDS)
            self._release(delivery)

    def _is_particular(self, delivery: Delivery) -> bool:
        """Whether the message itself narrows the choice, so that others of its flow may go before it."""
        if delivery.refused or delivery.lease.is_doubtful or delivery.lease.envelope.pinned_to:
            return True
        pool = self._pool_of(delivery)
        view = self._view(delivery, pool, 0.0)
        return any(is_unable(view, account.view) for account in pool.accounts)

    def _choose(self, delivery: Delivery) -> Choice:
        pool = self._pool_of(delivery)
        now = time.monotonic()
        waited = max(0.0, (self._queue.core.now_ms(delivery.lease.shard) - delivery.lease.ready_at) / 1000)
        view = self._view(delivery, pool, waited)
        return choose(view, [account.view for account in pool.accounts], now, draw(), explain=True)

    def _view(self, delivery: Delivery, pool: Pool, waited_seconds: float) -> MessageView:
        humbler = self._works.has_humbler(pool.name, delivery.lease.priority)
        names = tuple(actor.name for actor in pool.actors)
        return delivery.view(names, waited_seconds, nothing_else_waits=not humbler, looked_inside=pool.looks_inside)

    def _pool_of(self, delivery: Delivery) -> Pool:
        """Return the pool of a delivery: an empty one where it was taken out after the message was leased."""
        name = delivery.lease.pool
        return self.pools.get(name) or Pool(name, ())

    def _send(self, delivery: Delivery, choice: Choice) -> None:
        actor = self._actors[choice.provider or ""]
        account = actor.account
        delivery.route = choice.steps
        steps.begin(delivery)
        if choice.code is RouteCode.PROBE:
            delivery.is_probe = True
            account.breaker.begin_probe(all_open=choice.all_open)
            account.refresh(time.monotonic())
            log.info("breaker_probed", provider=actor.name)
        account.reserve()
        if delivery.tried:
            self._metrics.failovers[delivery.tried[-1], actor.name].inc()
        actor.mailbox.put(delivery)

    # What comes back

    def tried(self, delivery: Delivery, attempt: Attempt, verdict: Verdict) -> None:
        """Decide what follows an attempt that has ended."""
        judgement = judge(verdict, attempt.provider, delivery.pending)
        delivery.counts_round |= judgement.counts_round
        if judgement.refuses:
            delivery.refused |= {short_hash(attempt.provider)}
        if verdict.outcome in {Outcome.ACCEPTED, Outcome.PARTIAL}:
            self._measure(delivery, attempt)
        if judgement.next is Next.END:
            self._settle(delivery, attempt, judgement)
        elif judgement.next is Next.DELAY:
            self._settle_ambiguous(delivery, attempt, judgement)
        else:
            self._fail_over(delivery, attempt, judgement)

    def _measure(self, delivery: Delivery, attempt: Attempt) -> None:
        seconds = (attempt.started_at + attempt.duration_ms - delivery.lease.waits_since) / 1000
        self._metrics.end_to_end_seconds[delivery.lease.priority].observe(max(0.0, seconds), delivery.span.exemplar)

    def _settle(self, delivery: Delivery, attempt: Attempt, judgement: Judgement) -> None:
        settlement = Settlement(
            delivery.lease,
            attempt,
            all_state=judgement.all_state,
            decided=judgement.decided,
            reason=judgement.reason,
        )
        self._put(delivery, settlement)

    def _settle_ambiguous(self, delivery: Delivery, attempt: Attempt, judgement: Judgement) -> None:
        fails = delivery.lease.envelope.on_ambiguous is OnAmbiguous.FAIL
        settlement = Settlement(
            delivery.lease,
            attempt,
            decided=judgement.decided,
            fail_rest="ambiguous" if fails else None,
            delay_ms=ambiguous_delay_ms(self.retry.ambiguous_delay_seconds, draw()),
            counts_round=True,
            waiting="ambiguous_delay",
            is_doubtful=True,
            refused=delivery.refused,
            prefer=attempt.provider,
        )
        self._put(delivery, settlement)

    def _fail_over(self, delivery: Delivery, attempt: Attempt, judgement: Judgement) -> None:
        """Go to the next provider inside the same lease; where there is none, wait."""
        delivery.pending = judgement.left
        choice = Choice(None)
        if not self.is_draining and not delivery.is_lost:
            if attempt.provider in self._actors:  # it may have been taken out meanwhile
                self._actors[attempt.provider].account.refresh(time.monotonic())
            choice = self._choose(delivery)
        delivery.closed, delivery.decided = attempt, judgement.decided
        if choice.provider is None:
            self._settle_for_later(delivery, choice, reason=judgement.reason)
            return
        log.debug(
            "message_failed_over",
            message_id=delivery.lease.id,
            tenant=delivery.lease.tenant,
            attempt=attempt.number,
            provider=attempt.provider,
            to=choice.provider,
            outcome=attempt.outcome,
        )
        self._send(delivery, choice)

    def _settle_for_later(self, delivery: Delivery, choice: Choice, *, reason: str | None = None) -> None:
        """Write the last attempt, and let what is left of the message wait."""
        if delivery.closed is None:
            raise AssertionError(delivery)
        delay, waiting = self._next_round(delivery, choice)
        settlement = Settlement(
            delivery.lease,
            delivery.closed,
            decided=delivery.decided,
            reason=reason,
            fail_rest="no_provider_can_carry" if choice.is_impossible else None,
            delay_ms=delay,
            counts_round=delivery.counts_round,
            waiting=waiting,
            refused=delivery.refused,
        )
        self._put(delivery, settlement)

    def _next_round(self, delivery: Delivery, choice: Choice) -> tuple[int, str]:
        if delivery.counts_round:
            retry = self.retry
            delay = retry_delay_ms(delivery.lease.rounds + 1, retry.base_seconds, retry.max_seconds, draw())
            return delay, "backoff"
        return _wait_ms(choice), choice.waiting or WaitingCode.NO_PROVIDER_AVAILABLE

    def unused(self, delivery: Delivery, status: str) -> None:
        """Take back a delivery that was not handed to its provider."""
        if status in {"stale", "cancelled", "expired"}:
            # The queue has ended the lease itself, or will.
            self.forget(delivery)
        elif delivery.may_have_begun:
            self._settle_unsent(delivery)
        elif delivery.closed is not None:
            self._settle_for_later(delivery, Choice(None))
        else:
            waiting = _WAITING.get(status)
            if status == "unprobed" and delivery.lease.envelope.pinned_to:
                waiting = WaitingCode.NO_PROVIDER_AVAILABLE  # it asks for no other provider, and must not spin
            self._release(delivery, delay_ms=None if waiting is None else _UNKNOWN_WAIT_MS, waiting=waiting)

    def _settle_unsent(self, delivery: Delivery) -> None:
        """Say of an attempt that may stand in the record as begun that nothing of it left this sender."""
        now_ms = int(self._queue.core.now_ms(delivery.lease.shard))
        attempt = Attempt(
            number=delivery.attempts + 1,
            provider=delivery.asked_of,
            started_at=now_ms,
            duration_ms=0,
            outcome=Outcome.TEMPORARY,
            detail="never handed over: Redis did not say in time that the attempt stood in the record",
            recipients=delivery.pending,
        )
        settlement = Settlement(
            delivery.lease,
            attempt,
            delay_ms=_SHORTEST_WAIT_MS,
            counts_round=delivery.counts_round,
            waiting=WaitingCode.TURN,
            refused=delivery.refused,
        )
        self._put(delivery, settlement)

    # The end of a lease

    def _release(
        self, delivery: Delivery, *, delay_ms: int | None = None, waiting: str | None = None, fail: str | None = None
    ) -> None:
        self._put(delivery, Release(delivery.lease, delay_ms, waiting, delivery.refused, fail))

    def _put(self, delivery: Delivery, wish: Settlement | Release) -> None:
        self._settler.mailbox.put((delivery, wish))

    def done(self, delivery: Delivery, settled: Settled) -> None:
        """Take note that the settler has written a delivery's end."""
        if settled.status == "stale" and delivery.may_have_begun and not delivery.is_lost:
            # Its begin was never written: the lease is as it was, and can go back.
            delivery.may_have_begun = False
            self.unused(delivery, "late")
            return
        log.debug("message_settled", message_id=delivery.lease.id, tenant=delivery.lease.tenant, state=settled.state)
        steps.tell_state(delivery, settled.state)
        self.forget(delivery)

    def forget(self, delivery: Delivery) -> None:
        """Hold a delivery no longer."""
        steps.end(delivery)
        self._holdings.drop(delivery)
        if self._struck is delivery:
            self._struck = None
        self._bell.ring()

    def drain(self) -> None:
        """Send nothing more, and hand back what has not begun."""
        self.is_draining = True
        for actor in self._actors.values():
            actor.hand_back()


def _wait_ms(choice: Choice) -> int:
    if choice.until is None:
        return _UNKNOWN_WAIT_MS
    wait = int(1000 * (choice.until - time.monotonic())) + 1
    return min(_LONGEST_WAIT_MS, max(_SHORTEST_WAIT_MS, wait))
