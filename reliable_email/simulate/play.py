"""One life by one seed under several policies: the piece of work that processes share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reliable_email.simulate.life import Life
from reliable_email.simulate.metrics import Seen, seen
from reliable_email.simulate.policies import POLICIES
from reliable_email.simulate.world import World


@dataclass(frozen=True, slots=True)
class Job:
    """What one process plays without pause. `keeps_steps` keeps who got what share when, for a picture."""

    life: Life
    seed: int
    policies: tuple[str, ...]
    keeps_steps: bool = False


@dataclass(frozen=True, slots=True)
class Played:
    """What a job came to, for each of its policies."""

    life: str
    seed: int
    seen: dict[str, Seen]
    steps: dict[str, list[list[int]]]


def play(job: Job) -> Played:
    """Play a life under each policy."""
    played = Played(job.life.name, job.seed, {}, {})
    for policy in job.policies:
        tally = World(job.life, POLICIES[policy](), job.seed).play()
        played.seen[policy] = seen(job.life, tally)
        if job.keeps_steps:
            played.steps[policy] = tally.steps
    return played


def jobs(lives: Sequence[Life], seeds: Sequence[int], policies: Sequence[str], *, picture: bool = False) -> list[Job]:
    """Return all jobs, the longest first, so that no process is left alone with one at the end."""
    ordered = sorted(lives, key=_messages, reverse=True)
    return [
        Job(life, seed, tuple(policies), keeps_steps=picture and seed == seeds[0]) for life in ordered for seed in seeds
    ]


def _messages(life: Life) -> float:
    ends = [part.at for part in life.arrivals[1:]] + [life.seconds]
    return sum(part.per_second * (end - part.at) for part, end in zip(life.arrivals, ends, strict=False))
