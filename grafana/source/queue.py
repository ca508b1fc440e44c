"""What waits and why: the queue, the schedulers that work on it, and Redis that holds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from grafana.source import colours
from grafana.source.colours import ACT, GOOD, LOOK, NEUTRAL
from grafana.source.expressions import aggregate, buckets, growth, if_any, most, quantile, rate, total
from grafana.source.frame import PROVIDERS, QUEUE, Board, Choice, Section
from grafana.source.kinds import HeatMap, Stat, Timeline
from grafana.source.lines import Lines, Scale
from grafana.source.panel import BYTES, COUNT, MAIL_PER_SECOND, SECONDS, SHARE, Ask
from grafana.source.slo import objectives

_CHOSEN: Final = ('priority=~"$priority"',)
_READY: Final = ('state="queued"', *_CHOSEN)
_LIVE: Final = ('state=~"scheduled|queued|sending|retrying"', *_CHOSEN)
_DEAD: Final = ('state=~"failed|partly_sent"', *_CHOSEN)
_SHARDS: Final = most("shard_depth", "shard")
_PROMISED: Final[Mapping[float, str]] = {one.within_seconds: colours.PRIORITIES[one.priority] for one in objectives()}
_MEMORY_USED: Final = (
    f"{most('redis_memory_used_bytes', 'server')} / ({most('redis_memory_limit_bytes', 'server')} > 0)"
)

UNFINISHED: Final = Lines(
    title="Unfinished messages",
    width=8,
    shows="Messages that are still owed, by state.",
    normal="scheduled and retrying ones wait for their time; queued ones come and go.",
    otherwise="queued grows: less leaves than comes in. Retrying grows: providers fail.",
    asks=[Ask(aggregate("sum", most("queue_depth", "state", "priority", where=_LIVE), "state"), "{{state}}")],
    unit=COUNT,
    colours=colours.LIVE,
    is_stacked=True,
    empty="no scheduler",
)

OLDEST: Final = Lines(
    title="Oldest waiting",
    width=8,
    shows="How long the oldest message of each priority has waited that could be sent now. Dashed, in the colour of "
    "each priority: what is promised.",
    normal="near 0; bulk waits while something more urgent goes.",
    otherwise="a line that rises with the clock: nothing of this priority leaves.",
    asks=[Ask(most("oldest_ready_age_seconds", "priority", where=_CHOSEN), "{{priority}}")],
    unit=SECONDS,
    colours=colours.PRIORITIES,
    limits=_PROMISED,
    scale=Scale.FROM_ZERO,
    empty="no scheduler",
)

_DEPTH: Final = (
    UNFINISHED,
    Lines(
        title="Ready, by priority",
        width=8,
        shows="Messages that could be sent now, by priority.",
        normal="near 0; bulk waits for its turn behind everything else.",
        otherwise="critical or high: no provider has room. Look at the dashboard of providers, and for pauses.",
        asks=[Ask(most("queue_depth", "priority", where=_READY), "{{priority}}")],
        unit=COUNT,
        colours=colours.PRIORITIES,
        is_stacked=True,
        empty="no scheduler",
    ),
    OLDEST,
)

_ENDS: Final = (
    Lines(
        title="Finished",
        width=6,
        shows="Messages a second that reached a final state.",
        normal="sent, and hardly anything else.",
        otherwise="failed: see *Dead letters*. Expired: it waited longer than its client wanted it.",
        asks=[Ask(rate("messages_finished_total", "state"), "{{state}}")],
        unit=MAIL_PER_SECOND,
        colours=colours.STATES,
        is_stacked=True,
    ),
    Lines(
        title="Stranded",
        width=6,
        shows="Messages that could be sent now or wait for their next attempt, and none of their pool's providers "
        "takes any, as all senders tell; by pool and priority.",
        normal="none. What is paused does not count.",
        otherwise="look at the pool's providers on their dashboard; where another pool works, "
        "`reliable-email queue move FROM TO` takes the mail there.",
        asks=[
            Ask(if_any(most("stranded_messages", "pool", "priority", where=_CHOSEN)), "{{pool}} {{priority}}"),
        ],
        unit=COUNT,
        decimals=0,
        empty="none",
    ),
    Lines(
        title="Dead letters",
        width=6,
        shows="Messages that failed, wholly or for some recipients, and wait for somebody to send them again or drop "
        "them.",
        normal="few, slowly growing: addresses that do not exist end here, and leave when their retention is over.",
        otherwise="a jump: `reliable-email failed list` groups them by reason.",
        asks=[Ask(aggregate("sum", most("queue_depth", "state", "priority", where=_DEAD), "state"), "{{state}}")],
        unit=COUNT,
        colours=colours.DEAD,
        is_stacked=True,
        empty="no scheduler",
    ),
    Lines(
        title="Shards",
        width=6,
        shows="Unfinished messages of the fullest, the average and the emptiest shard.",
        normal="the three lie together.",
        otherwise="the fullest stands apart: clients put one key into many messages, or one primary of Redis is "
        "behind.",
        asks=[
            Ask(f"max({_SHARDS})", "fullest"),
            Ask(f"avg({_SHARDS})", "average"),
            Ask(f"min({_SHARDS})", "emptiest"),
        ],
        unit=COUNT,
        colours={"fullest": "purple", "average": NEUTRAL, "emptiest": "light-blue"},
        empty="no scheduler",
    ),
)

_PROMOTION: Final = (
    Lines(
        title="Promoted",
        width=6,
        shows="Messages a second that became ready because they were due: scheduled ones, and retries.",
        normal="what was scheduled for this hour.",
        otherwise="retries alone, many of them: providers fail.",
        asks=[Ask(rate("promoted_total", "from"), "{{from}}")],
        unit=MAIL_PER_SECOND,
        colours={"scheduled": colours.STATES["scheduled"], "retry": colours.STATES["retrying"]},
        is_stacked=True,
    ),
    Lines(
        title="Lateness of promotion",
        width=6,
        shows="How long after its due time a message became ready.",
        normal="a few milliseconds; up to a second where a bell was lost.",
        otherwise="for long above 2.5 s: schedulers are missing or slow, or Redis was away. Look at the processes.",
        asks=[
            Ask(quantile(0.5, "promotion_lateness_seconds"), "p50"),
            Ask(quantile(0.99, "promotion_lateness_seconds"), "p99", exemplars=True),
        ],
        unit=SECONDS,
        colours=colours.QUANTILES,
        limits={2.5: LOOK},
        scale=Scale.POWERS,
        lowest=None,
        empty="none promoted",
    ),
    HeatMap(
        title="Lateness of promotion: all",
        width=12,
        shows="How many messages became ready how long after their due time; the colour is how many.",
        normal="one band at the bottom.",
        otherwise="a cloud above: it was late for some shards only, or for the time of an outage.",
        asks=[Ask(buckets("promotion_lateness_seconds"), "{{le}}")],
        empty="none promoted",
    ),
)

_LEASES: Final = (
    Lines(
        title="Leases held",
        width=8,
        shows="Messages in the hands of all senders: waiting for a slot there, or under way.",
        normal="near the messages under way; at most what the senders' buffers hold.",
        otherwise="flat at the top: providers are slower than the queue. Falling to 0 with a full queue: senders "
        "cannot lease.",
        asks=[Ask(total("leases_held"), "held")],
        unit=COUNT,
        colours={"held": colours.STATES["sending"]},
        empty="no sender",
    ),
    Lines(
        title="Leases reclaimed",
        width=8,
        shows="Leases that ran out and were taken back: of messages that were not begun yet, and of such whose attempt "
        "was under way (its outcome is unknown).",
        normal="none.",
        otherwise="a sender was killed, hung, or could not reach Redis. Their mail came up to a minute late.",
        asks=[Ask(if_any(growth("leases_reclaimed_total", "begun")), "begun: {{begun}}")],
        unit=COUNT,
        decimals=0,
        colours={"begun: true": "purple", "begun: false": NEUTRAL},
        has_bars=True,
        step="1m",
        tells=["sum"],
        empty="none",
    ),
    Lines(
        title="Stale writes",
        width=8,
        shows="Calls that changed nothing, because the lease they came with was no longer theirs: the fence that keeps "
        "two senders from settling one message.",
        normal="none; a few after leases were reclaimed.",
        otherwise="many without reclaimed leases: an event loop stalls, or a clock of Redis jumped.",
        asks=[Ask(if_any(growth("stale_writes_total", "script")), "{{script}}")],
        unit=COUNT,
        decimals=0,
        has_bars=True,
        step="1m",
        tells=["sum"],
        empty="none",
    ),
)

_REDIS: Final = (
    Timeline(
        title="Reachable and on disk",
        width=8,
        shows="Whether schedulers reach each primary, and whether its append-only file is on and was written.",
        normal="green throughout.",
        otherwise="not reachable: clients get 503. Not on disk: look at the space and the health of its disk at once.",
        asks=[
            Ask(most("redis_up", "server"), "{{server}} reachable"),
            Ask(most("redis_aof_ok", "server"), "{{server}} on disk"),
        ],
        unit=COUNT,
        meanings=colours.YES_NO,
        empty="no scheduler",
    ),
    Lines(
        title="Replicas",
        width=5,
        shows="Replicas of each primary that are online. Dashed: how many must confirm each message (`[durability] "
        "replicas`).",
        normal="at or above the dashed line.",
        otherwise="below it: submissions are answered with 503 until a replica is back.",
        asks=[
            Ask(most("redis_replicas", "server"), "{{server}}"),
            Ask(most("redis_replicas_wanted"), "wanted"),
        ],
        unit=COUNT,
        decimals=0,
        dashed=["wanted"],
        reaches=1,
        tells=["lastNotNull", "min"],
        empty="no scheduler",
    ),
    Lines(
        title="Memory in use",
        width=6,
        shows="Memory of each primary as a share of its `maxmemory`.",
        normal="below 70 %.",
        otherwise="at 100 % submissions are refused with 503 while everything else runs: let it drain, or give it more "
        "memory.",
        asks=[Ask(_MEMORY_USED, "{{server}}")],
        unit=SHARE,
        highest=1,
        limits={0.7: LOOK, 0.85: ACT},
        empty="no limit set",
    ),
    Lines(
        title="Memory",
        width=5,
        shows="Memory that each primary uses. Dashed: its `maxmemory`, where one is set.",
        normal="follows the unfinished messages and what retention keeps.",
        otherwise="grows while messages do not: look at attachments and `[retention]`.",
        asks=[
            Ask(most("redis_memory_used_bytes", "server"), "{{server}}"),
            Ask(f"{most('redis_memory_limit_bytes', 'server')} > 0", "{{server}}: limit"),
        ],
        unit=BYTES,
        dashed=["/: limit$/"],
        empty="no scheduler",
    ),
)

_ALL_READY: Final = aggregate("sum", most("queue_depth", "priority", where=_READY))
_SENT: Final = rate("messages_finished_total", where=('state=~"sent|partly_sent"',))


def _waiting(state: str) -> str:
    return aggregate("sum", most("queue_depth", "priority", where=(f'state="{state}"', *_CHOSEN)))


def _paused(scale: str) -> str:
    return most("pauses", where=(f'scale="{scale}"',))


_NOW: Final = (
    Stat(
        title="Ready",
        width=5,
        shows="Messages of the chosen priorities that could be sent now.",
        normal="near 0, or bulk that takes its time.",
        otherwise="see *Ready, by priority* and *Oldest waiting*.",
        asks=[Ask(_ALL_READY, "ready")],
        unit=COUNT,
        steps=[(None, NEUTRAL)],
        empty="no scheduler",
    ),
    Stat(
        title="Gone in",
        width=5,
        shows="How long it takes to send what is ready, at the pace of now and if nothing is added.",
        normal="seconds.",
        otherwise="longer than the mail can wait: more senders help where providers have room (*Rate in use*, *Slots "
        "in use*), else only more providers do.",
        asks=[Ask(f"{_ALL_READY} / ({_SENT} > 0)", "gone in")],
        unit=SECONDS,
        steps=[(None, NEUTRAL)],
        empty="nothing is sent",
    ),
    Stat(
        title="Retrying",
        width=4,
        shows="Messages of the chosen priorities that failed for now and wait for their next attempt.",
        normal="few: mailboxes that are full, servers that defer.",
        otherwise="many: a provider fails. See the dashboard of providers.",
        asks=[Ask(_waiting("retrying"), "retrying")],
        unit=COUNT,
        steps=[(None, NEUTRAL)],
        empty="no scheduler",
        leads_to=PROVIDERS,
    ),
    Stat(
        title="Scheduled",
        width=4,
        shows="Messages of the chosen priorities whose send-at time has not come.",
        normal="what your clients planned.",
        otherwise="falls to 0 at a stroke: look at *Promoted*, and whether the senders keep up.",
        asks=[Ask(_waiting("scheduled"), "scheduled")],
        unit=COUNT,
        steps=[(None, NEUTRAL)],
        empty="no scheduler",
    ),
    Stat(
        title="Paused",
        width=6,
        shows="Pauses that stand: of everything, of pools, of providers.",
        normal="0, or what somebody has just paused.",
        otherwise="nothing begins there; `reliable-email queue` and `reliable-email providers` tell why.",
        asks=[
            Ask(_paused("everything"), "everything"),
            Ask(_paused("pool"), "pools"),
            Ask(_paused("provider"), "providers"),
        ],
        unit=COUNT,
        decimals=0,
        steps=[(None, GOOD), (1, LOOK)],
        empty="no scheduler",
    ),
)

BOARD: Final = Board(
    uid=QUEUE,
    title="Queue and scheduler",
    description="What waits, for how long and why; what became of it; and how Redis does, which holds it.",
    choices=[Choice("priority", "Priority", 'reliable_email_end_to_end_seconds_count{job=~"$job"}')],
    sections=[
        Section("", [(4, _NOW), (9, _DEPTH), (8, _ENDS)]),
        Section("Promotion", [(8, _PROMOTION)]),
        Section("Leases", [(8, _LEASES)]),
        Section("Redis", [(8, _REDIS)]),
    ],
)
