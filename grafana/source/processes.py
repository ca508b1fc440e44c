"""Our own processes: which are there, what runs in them, and what they cost."""

from __future__ import annotations

from typing import Final

from grafana.source import colours
from grafana.source.colours import ACT, GOOD, LOOK, NEUTRAL
from grafana.source.expressions import (
    growth,
    if_any,
    mean,
    most,
    of_role,
    or_zero,
    ours,
    quantile,
    rate,
    theirs,
    total,
)
from grafana.source.frame import PROCESSES, Board, Choice, Section
from grafana.source.kinds import Stat, Timeline
from grafana.source.lines import Lines
from grafana.source.panel import BYTES, CALLS_PER_SECOND, COUNT, REQUESTS_PER_SECOND, SECONDS, SHARE, Ask
from grafana.source.tables import Column, Table

_NAME: Final = "{{role}} {{instance}}"
_ROLE: Final = 'role=~"$role"'
_CPU: Final = of_role(f"rate({theirs('process_cpu_seconds_total')}[$__rate_interval])")
_MEMORY: Final = of_role(theirs("process_resident_memory_bytes"))
_FILES: Final = of_role(f"({theirs('process_open_fds')} / {theirs('process_max_fds')})")
_LAG: Final = of_role(ours("event_loop_lag_seconds"))
_REVISIONS: Final = f"count by (role) (count by (role, revision) ({of_role(ours('config_info'))}))"
_FULL_COLLECTIONS: Final = theirs("python_gc_collections_total", 'generation="2"')
_LAG_STEPS: Final = ((None, GOOD), (0.25, LOOK), (1.0, ACT))
_CPU_STEPS: Final = ((None, GOOD), (0.7, LOOK), (0.9, ACT))

_TOP: Final = (
    Stat(
        title="Alive",
        width=7,
        shows="Processes of each role, as they report to Redis themselves.",
        normal="as many as were started, two of each or more in production.",
        otherwise="none of a role: without frontends nothing is accepted, without senders nothing sent, without "
        "schedulers nothing scheduled or retried.",
        asks=[Ask(most("processes", "role"), "{{role}}")],
        unit=COUNT,
        decimals=0,
        steps=[(None, ACT), (1, GOOD)],
        empty="no scheduler",
    ),
    Stat(
        title="Versions",
        width=4,
        shows="How many different versions run.",
        normal="1; two while a new one is rolled out.",
        otherwise="two for long: a roll-out hangs. The table names the version of each process.",
        asks=[Ask(f"count(count by (version) ({ours('build_info')}))", "versions")],
        unit=COUNT,
        decimals=0,
        steps=[(None, GOOD), (2, LOOK)],
    ),
    Stat(
        title="Configurations",
        width=7,
        shows="How many different configurations (providers and routes) processes of one role work by.",
        normal="1; two for the moment of a change.",
        otherwise="two for long: some process has not read the new file. Send it SIGHUP, and read what its log "
        "answers.",
        asks=[Ask(_REVISIONS, "{{role}}")],
        unit=COUNT,
        decimals=0,
        steps=[(None, GOOD), (2, LOOK)],
    ),
    Stat(
        title="Not answering",
        width=6,
        shows="Processes that Prometheus knows of and cannot read.",
        normal="0.",
        otherwise="they are gone or hang, or the network keeps Prometheus out (compare *Alive*). See *Answering "
        "Prometheus*, below.",
        asks=[Ask(or_zero(f"count({theirs('up')} == 0)"), "not answering")],
        unit=COUNT,
        decimals=0,
        steps=[(None, GOOD), (1, ACT)],
    ),
)

_TABLE: Final = Table(
    title="Processes now",
    width=24,
    shows="Every process that Prometheus reads: what runs in it, for how long, and what it takes.",
    normal="one version, one configuration for each role, and room in every bar.",
    otherwise="a short uptime on one of them: it was killed or crashed; its last log line says why.",
    asks=[
        Ask(most("build_info", "instance", "role", "version", where=(_ROLE,))),
        Ask(f"max by (instance, role, revision) ({of_role(ours('config_info'))})"),
        Ask(f"max by (instance, role) ({of_role('(time() - ' + theirs('process_start_time_seconds') + ')')})"),
        Ask(f"max by (instance, role) ({_CPU})"),
        Ask(f"max by (instance, role) ({_MEMORY})"),
        Ask(f"max by (instance, role) ({_LAG})"),
        Ask(f"max by (instance, role) ({_FILES})"),
    ],
    unit=COUNT,
    empty="no process",
    columns={
        "role": Column("Role", width=100),
        "instance": Column("Process"),
        "version": Column("Version", width=90),
        "revision": Column("Configuration"),
        "Value #C": Column("Up for", unit="dtdurations", width=180),
        "Value #D": Column("CPU", unit=SHARE, decimals=0, steps=_CPU_STEPS, is_gauge=True),
        "Value #E": Column("Memory", unit=BYTES, width=110),
        "Value #F": Column("Loop lag", unit=SECONDS, steps=_LAG_STEPS, width=110),
        "Value #G": Column("Open files", unit=SHARE, decimals=0, steps=_CPU_STEPS, is_gauge=True),
    },
    hidden=["Value #A", "Value #B"],
    sort_by="Role",
)

_LOOPS: Final = (
    Lines(
        title="CPU",
        width=8,
        shows="Time on a processor. A process has one event loop, so 100 % (one core) is all that it can use.",
        normal="below 70 %.",
        otherwise="near 100 %: start more of this role. With a limit of CPU set below 1, the ceiling is there.",
        asks=[Ask(_CPU, _NAME)],
        unit=SHARE,
        reaches=1,
        limits={0.7: LOOK, 0.9: ACT},
    ),
    Lines(
        title="Memory",
        width=8,
        shows="Resident memory of each process.",
        normal="flat after the first minutes; a sender's grows with what it holds.",
        otherwise="grows for hours: a leak. Set the container's limit above the highest you see here.",
        asks=[Ask(_MEMORY, _NAME)],
        unit=BYTES,
    ),
    Lines(
        title="Event loop lag",
        width=8,
        shows="The longest that the event loop of a process was late in the last 15 s.",
        normal="below 50 ms.",
        otherwise="something blocks it, or it does not get its CPU. A sender that stalls for a lease loses its "
        "messages.",
        asks=[Ask(_LAG, _NAME)],
        unit=SECONDS,
        limits={0.25: LOOK, 1: ACT},
    ),
)

_LIMITS: Final = (
    Lines(
        title="Open files",
        width=8,
        shows="File descriptors in use, as a share of what the process may open: one for each connection.",
        normal="below 50 %.",
        otherwise="raise `ulimit -n`, or start more processes: at 100 % nothing new connects.",
        asks=[Ask(_FILES, _NAME)],
        unit=SHARE,
        reaches=1,
        limits={0.7: LOOK, 0.9: ACT},
    ),
    Lines(
        title="Garbage collections",
        width=8,
        shows="Full collections a minute (generation 2): each stops the process for a moment.",
        normal="a few.",
        otherwise="many, together with event loop lag: what is held is too much for one process.",
        asks=[
            Ask(of_role(f"(60 * rate({_FULL_COLLECTIONS}[$__rate_interval]))"), _NAME),
        ],
        unit="cpm",
        reaches=10,
    ),
    Lines(
        title="Log lines lost",
        width=8,
        shows="Log lines that were dropped because nobody read them quickly enough.",
        normal="none.",
        otherwise="what collects the logs is too slow, or its disk is full. The mail itself goes on.",
        asks=[Ask(if_any(growth("log_lines_dropped_total", "instance")), "{{instance}}")],
        unit=COUNT,
        decimals=0,
        has_bars=True,
        step="1m",
        tells=["sum"],
        empty="none",
    ),
)

_FRONTEND: Final = (
    Lines(
        title="Requests by route",
        width=9,
        shows="HTTP requests a second, by route.",
        normal="`POST /v1/messages` carries the mail.",
        otherwise="`other`: somebody asks for what does not exist.",
        asks=[Ask(rate("http_requests_total", "route"), "{{route}}")],
        unit=REQUESTS_PER_SECOND,
        is_stacked=True,
        empty="no requests",
    ),
    Lines(
        title="Requests that fail",
        width=9,
        shows="HTTP answers that are errors, by route and code.",
        normal="none, or a client's 4xx.",
        otherwise="503: Redis does not answer or is full. 500: a defect, its log line has the stack. 401: a wrong key.",
        asks=[
            Ask(
                if_any(growth("http_requests_total", "status", "route", where=('status=~"[45].."',))),
                "{{status}} {{route}}",
            )
        ],
        unit=COUNT,
        decimals=0,
        has_bars=True,
        step="1m",
        tells=["sum"],
        empty="none",
    ),
    Lines(
        title="Messages for each flush",
        width=6,
        shows="How many messages one flush to disk paid for, and how many submissions wait for the next.",
        normal="few messages; more under load, which is how the disk keeps up.",
        otherwise="waiting grows: the disk of Redis is the limit. From 20,000 on submissions are refused.",
        asks=[
            Ask(mean("commit_batch_size"), "mean"),
            Ask(quantile(0.99, "commit_batch_size"), "p99"),
            Ask(total("submissions_waiting"), "waiting"),
        ],
        unit=COUNT,
        colours={"mean": NEUTRAL, "p99": "purple", "waiting": LOOK},
        empty="no frontend",
    ),
)

_REDIS: Final = (
    Lines(
        title="Round trips to Redis: p50",
        width=12,
        shows="How long half of the calls of each script take at most, disk and replicas included.",
        normal="below 1 ms where nothing is written, a few where the disk is flushed.",
        otherwise="all slower at once: its disk, its network or its CPU. One script: it moves too much at once.",
        asks=[Ask(quantile(0.5, "redis_seconds", "script"), "{{script}}")],
        unit=SECONDS,
        tells=["lastNotNull", "max"],
    ),
    Lines(
        title="Round trips to Redis: p99",
        width=12,
        shows="How long 99 of 100 calls of each script take at most, disk and replicas included.",
        normal="below 25 ms.",
        otherwise="at 3 s calls are given up. Peaks at a regular beat: rewrites of the append-only file.",
        asks=[Ask(quantile(0.99, "redis_seconds", "script"), "{{script}}")],
        unit=SECONDS,
        tells=["lastNotNull", "max"],
    ),
)

_CALLS: Final = (
    Lines(
        title="Calls to Redis",
        width=12,
        shows="Calls a second of each script.",
        normal="`submit`, `lease`, `begin` and `settle` follow the mail; the others keep their beat.",
        otherwise="many `lease` without mail: senders run for nothing.",
        asks=[Ask(rate("redis_seconds_count", "script"), "{{script}}")],
        unit=CALLS_PER_SECOND,
        is_stacked=True,
        tells=["lastNotNull"],
    ),
    Lines(
        title="Failed calls to Redis",
        width=12,
        shows="Calls that failed, by script and how: unavailable (nothing was done), answer_lost (it may have been "
        "done), not_replicated (done, on too few replicas), full, defect.",
        normal="none; for seconds during a failover.",
        otherwise="unavailable: Redis or the network. Not_replicated: a replica is gone. Full: see its memory. Defect: "
        "tell us.",
        asks=[Ask(if_any(growth("redis_errors_total", "script", "kind")), "{{script}}: {{kind}}")],
        unit=COUNT,
        decimals=0,
        has_bars=True,
        step="1m",
        tells=["sum"],
        empty="none",
    ),
)

_ACTORS: Final = (
    Lines(
        title="Mailboxes",
        width=12,
        shows="Items that wait for each actor of the senders, all senders together.",
        normal="near 0 for the settler; a provider's holds what waits for a slot.",
        otherwise="the settler's grows: verdicts wait for Redis. A provider's is full: it is slower than its share.",
        asks=[Ask(total("actor_mailbox_depth", "actor"), "{{actor}}")],
        unit=COUNT,
        empty="no sender",
    ),
    Lines(
        title="Actor restarts",
        width=12,
        shows="Actors that crashed and were started again.",
        normal="none.",
        otherwise="a defect: `actor_crashed` in the senders' logs has the stack. No mail is lost.",
        asks=[Ask(if_any(growth("actor_restarts_total", "actor")), "{{actor}}")],
        unit=COUNT,
        decimals=0,
        has_bars=True,
        step="1m",
        tells=["sum"],
        empty="none",
    ),
)

_HISTORY: Final = (
    Timeline(
        title="Answering Prometheus",
        width=12,
        shows="Whether Prometheus could read each process.",
        normal="green throughout.",
        otherwise="red: it is gone or hangs, or the network keeps Prometheus out (compare *Alive*).",
        asks=[
            Ask(
                f"{of_role(theirs('up'))} or on (job, instance) {theirs('up')} == 0",
                _NAME,
            )
        ],
        unit=COUNT,
        meanings=colours.YES_NO,
        empty="no process",
    ),
    Lines(
        title="Restarts",
        width=12,
        shows="How long each process has run.",
        normal="lines that rise together since the last roll-out.",
        otherwise="a saw: it is killed again and again. Look at its exit code, and at the memory it had.",
        asks=[Ask(of_role(f"(time() - {theirs('process_start_time_seconds')})"), _NAME)],
        unit=SECONDS,
        tells=["lastNotNull"],
    ),
)

BOARD: Final = Board(
    uid=PROCESSES,
    title="Processes",
    description="Which processes run, what runs in them, what they cost, and how Redis answers them.",
    choices=[Choice("role", "Role", 'reliable_email_build_info{job=~"$job"}')],
    sections=[
        Section("", [(4, _TOP), (8, (_TABLE,))]),
        Section("Load", [(8, _LOOPS), (7, _LIMITS)]),
        Section("Redis", [(8, _REDIS), (8, _CALLS)]),
        Section("Frontends", [(8, _FRONTEND)]),
        Section("Senders", [(7, _ACTORS)]),
        Section("Comings and goings", [(8, _HISTORY)], is_folded=True),
    ],
)
