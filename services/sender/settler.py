"""The settler: writes outcomes back in batches, acceptances first, and does not give up.

Time between a provider's yes and our record of it is time in which a crash makes a duplicate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from services.sender.delivery import Delivery
from services.sender.mailbox import Mailbox
from shared.domain.errors import AnswerLost, QueueError, QueueFull, Unavailable
from shared.domain.states import FINAL, RecipientState
from shared.queue.core import in_batches
from shared.queue.leases import Leases, Release, Settled, Settlement
from shared.runtime.logs import get_logger
from shared.runtime.metrics import Metrics
from shared.runtime.run_file import run_file

_BATCH: Final = 125
#: Fewer than so many are gathered for so long.
_FEW: Final = 32
_GATHER_SECONDS: Final = 0.003
_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 2.0

#: A delivery, and how its lease is to end.
Ending = tuple[Delivery, Settlement | Release]

#: Called when a delivery is no longer in this sender's hands, with the state that it is in now.
Done = Callable[[Delivery, Settled], None]

log = get_logger()


class Settler:
    """The actor that ends deliveries: settles what was tried, releases what was not."""

    def __init__(self, leases: Leases, metrics: Metrics, size: int, done: Done) -> None:
        self.mailbox: Mailbox[Ending] = Mailbox("settler", size)
        self._leases = leases
        self._metrics = metrics
        self._done = done
        # `up` shows each mail that ends to the one who watches; anywhere else a line a batch is enough.
        self._tells_endings = run_file() is not None
        self._waiting: dict[tuple[int, bool], list[Ending]] = {}
        self._writers: dict[tuple[int, bool], asyncio.Task[None]] = {}
        self._written_at: dict[tuple[int, bool], float] = {}

    async def act(self) -> None:
        """Write what comes in, until cancelled; a shard that does not answer holds up no other."""
        async with asyncio.TaskGroup() as group:
            for key in self._waiting:  # what a crash left
                self._writers[key] = group.create_task(self._write_all(key))
            while True:
                for ending in await self.mailbox.take(_BATCH):
                    delivery, wish = ending
                    key = delivery.lease.shard, isinstance(wish, Settlement)
                    self._waiting.setdefault(key, []).append(ending)
                    writer = self._writers.get(key)
                    if writer is None or writer.done():
                        self._writers[key] = group.create_task(self._write_all(key))

    async def _write_all(self, key: tuple[int, bool]) -> None:
        waiting, loop = self._waiting[key], asyncio.get_running_loop()
        while waiting:
            # Where outcomes follow one another, a call for each would cost more than the moment it saves.
            if len(waiting) < _FEW and loop.time() - self._written_at.get(key, 0.0) < _GATHER_SECONDS:
                await asyncio.sleep(_GATHER_SECONDS)
            waiting.sort(key=_urgency)
            batch = next(in_batches(waiting[:_BATCH], _size))
            await self._write_shard(key[0], batch)
            del waiting[: len(batch)]
            self._written_at[key] = loop.time()

    async def _write_shard(self, shard: int, items: Sequence[Ending]) -> None:
        loop = asyncio.get_running_loop()
        pause, started = _PAUSE_SECONDS, loop.time()
        while True:
            try:
                script, answers = await self._call(shard, [wish for _, wish in items])
            except (Unavailable, AnswerLost, QueueFull) as error:
                # What is known of these messages must not get lost: their tokens make a repetition harmless.
                log.warning("settle_failed", shard=shard, count=len(items), error=str(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            except Exception as defect:  # noqa: BLE001 - whatever it is must not hold up the others
                await self._write_singly(shard, items, defect)
                return
            else:
                break
        for (delivery, _), answer in zip(items, answers, strict=True):
            self._report(script, delivery, answer)
            self._done(delivery, answer)
        if self._tells_endings:
            for (delivery, wish), answer in zip(items, answers, strict=True):
                _tell_ending(delivery, wish, answer)
        log.info("batch_settled", shard=shard, count=len(items), seconds=round(loop.time() - started, 4))

    async def _call(self, shard: int, wishes: Sequence[Settlement | Release]) -> tuple[str, list[Settled]]:
        settlements = [wish for wish in wishes if isinstance(wish, Settlement)]
        if settlements:
            return "settle", await self._leases.settle(shard, settlements)
        return "release", await self._leases.release(shard, [wish for wish in wishes if isinstance(wish, Release)])

    async def _write_singly(self, shard: int, items: Sequence[Ending], defect: Exception) -> None:
        """Find the one outcome that cannot be written, so that the others can.

        What Redis itself refuses may be mended there, and is tried again later; what cannot even
        be asked for is given up: its lease runs out.
        """
        if len(items) > 1:
            for item in items:
                await self._write_shard(shard, [item])
            return
        (item,) = items
        delivery = item[0]
        log.error("task_crashed", task=f"settle/{delivery.lease.id}", error=repr(defect), exc_info=defect)
        if isinstance(defect, QueueError):
            asyncio.get_running_loop().call_later(_LONGEST_PAUSE_SECONDS, self.mailbox.put, item)
        else:
            self._done(delivery, Settled("stale", None))

    def _report(self, script: str, delivery: Delivery, answer: Settled) -> None:
        if answer.status in {"stale", "gone"}:
            self._metrics.stale_writes[script].inc()
            lease = delivery.lease
            log.warning(
                "stale_write_refused", script=script, message_id=lease.id, tenant=lease.tenant, state=answer.state
            )
        elif answer.state in FINAL:
            self._metrics.messages_finished[answer.state].inc()


def _size(ending: Ending) -> int:
    """Return about how many bytes an ending adds to a call."""
    wish = ending[1]
    if isinstance(wish, Release):
        return 200
    return 800 + len(wish.attempt.detail) + 400 * (len(wish.attempt.results) + len(wish.decided))


def _tell_ending(delivery: Delivery, wish: Settlement | Release, answer: Settled) -> None:
    if answer.state not in FINAL:
        return
    provider, seconds = None, None
    if isinstance(wish, Settlement):
        provider = wish.attempt.provider
        ended_at = wish.attempt.started_at + wish.attempt.duration_ms
        seconds = max(0, ended_at - delivery.lease.waits_since) / 1000
    log.info(
        "message_finished",
        message_id=delivery.lease.id,
        tenant=delivery.lease.tenant,
        state=answer.state,
        provider=provider,
        seconds=seconds,
    )


def _urgency(item: Ending) -> int:
    """Acceptances first."""
    wish = item[1]
    if isinstance(wish, Release):
        return 2
    accepted = wish.all_state is RecipientState.SENT or any(end.state is RecipientState.SENT for end in wish.decided)
    return 0 if accepted else 1
