"""Node: has the daemon what it needs - disk, time, memory, names - and do its events arrive."""

from __future__ import annotations

from deploy.grafana.boards.parts import (
    AMBER,
    BYTES,
    GREEN,
    NODES,
    PER_SECOND,
    RED,
    SECONDS,
    SHARE,
    Board,
    Kind,
    Panel,
    Query,
    Row,
    quantiles,
)

_STATE = Row(
    heading="State",
    height=4,
    panels=(
        Panel(
            title="Which daemon runs?",
            description="Version and role of each node. One is missing: `systemctl status sender` there.",
            kind=Kind.TABLE,
            width=6,
            hidden=("__name__", "job", "Value"),
            queries=(Query(expr="sender_build_info{NODE}", legend="Value"),),
        ),
        Panel(
            title="Is mail taken?",
            description="No: the disk or the queue is full, clients hear 452. Make room; see the disk below.",
            kind=Kind.FIGURE,
            width=4,
            unit="bool_yes_no",
            colour=RED,
            steps=((1, GREEN),),
            queries=(Query(expr="min(sender_spool_accepting{NODE})", legend="taken"),),
        ),
        Panel(
            title="Can outcomes be recorded?",
            description="No: the spool cannot be written, deliveries have stopped. Look at the disk and the log.",
            kind=Kind.FIGURE,
            width=4,
            unit="bool_yes_no",
            colour=RED,
            steps=((1, GREEN),),
            queries=(Query(expr="1 - max(sender_spool_failing{NODE})", legend="recorded"),),
        ),
        Panel(
            title="Lanes held back",
            description="Lanes that receivers throttle now. Many at once: the fault is on our side.",
            kind=Kind.FIGURE,
            width=4,
            colour=GREEN,
            queries=(
                Query(expr='sum(sender_lanes{NODE,state="throttled"})', legend="throttled"),
                Query(expr='sum(sender_lanes{NODE,state="suspended"})', legend="suspended"),
            ),
        ),
        Panel(
            title="Was the clock set?",
            description="Steps of the clock in the last hour: nothing expires for as long. Is its time server well?",
            kind=Kind.FIGURE,
            width=3,
            colour=GREEN,
            steps=((1, AMBER),),
            queries=(Query(expr="sum(increase(sender_clock_steps_total{NODE}[1h]))", legend="steps"),),
        ),
        Panel(
            title="Queue of its most",
            description="At 100 % no more mail is accepted (`[spool] max_queued`).",
            kind=Kind.FIGURE,
            width=3,
            unit=SHARE,
            colour=GREEN,
            steps=((0.7, AMBER), (0.9, RED)),
            queries=(
                Query(
                    expr=(
                        "max(sum by (instance) (sender_queue_recipients{NODE})"
                        " / (max by (instance) (sender_queue_max{NODE}) > 0))"
                    ),
                    legend="used",
                ),
            ),
        ),
    ),
)

_SPOOL = Row(
    heading="Spool",
    height=8,
    panels=(
        Panel(
            title="Is the disk fast enough? Time of a commit",
            description=(
                "A client's 250 waits for a commit. p99 above 100 ms: something else writes to this disk, or it is "
                "none that keeps its promise at once."
            ),
            kind=Kind.LINES,
            width=8,
            unit=SECONDS,
            queries=quantiles("sender_spool_commit_seconds_bucket{NODE}", "p50", "p99", by=("instance",)),
        ),
        Panel(
            title="How much shares a commit?",
            description="Units of work in a commit, on average. It grows under load, that is good: less waiting.",
            kind=Kind.LINES,
            width=8,
            queries=(
                Query(
                    expr=(
                        "sum by (instance) (rate(sender_spool_commit_size_sum{NODE}RATE))"
                        " / (sum by (instance) (rate(sender_spool_commit_size_count{NODE}RATE)) > 0)"
                    ),
                    legend="{{instance}}",
                ),
            ),
        ),
        Panel(
            title="Is there room on the disk? Free against min_free",
            description=(
                "Free meets the red line: no more mail is accepted. Make room, or move the spool; what the spool "
                "takes is freed after mail has ended."
            ),
            kind=Kind.LINES,
            width=8,
            unit=BYTES,
            queries=(
                Query(expr="sender_spool_disk_free_bytes{NODE}", legend="free {{instance}}"),
                Query(expr="sender_spool_bytes{NODE}", legend="spool's own {{instance}}"),
                Query(expr="sender_spool_min_free_bytes{NODE}", legend="limit {{instance}}", shape="dashed"),
            ),
        ),
    ),
)

_PROCESS = Row(
    heading="Process",
    height=8,
    panels=(
        Panel(
            title="Has the daemon time? Lag of the event loop",
            description="p99 above 100 ms: it is out of CPU, or something blocks it. Fewer sessions, or a faster core.",
            kind=Kind.LINES,
            width=8,
            unit=SECONDS,
            queries=quantiles("sender_event_loop_lag_seconds_bucket{NODE}", "p50", "p99", by=("instance",)),
        ),
        Panel(
            title="CPU",
            description="100 % is one core. The daemon uses one for deliveries and a part of another for the spool.",
            kind=Kind.LINES,
            width=4,
            unit=SHARE,
            queries=(Query(expr="rate(process_cpu_seconds_total{NODE}RATE)", legend="{{instance}}"),),
        ),
        Panel(
            title="Memory",
            description="It does not grow with the queue, but with sessions and domains. It only rises: report it.",
            kind=Kind.LINES,
            width=4,
            unit=BYTES,
            queries=(Query(expr="process_resident_memory_bytes{NODE}", legend="{{instance}}"),),
        ),
        Panel(
            title="Sessions of all that are allowed",
            description="Touches the red line: raise `[delivery] max_sessions`, if the machine has memory for it.",
            kind=Kind.LINES,
            width=4,
            queries=(
                Query(expr="sum by (instance) (sender_lane_sessions{NODE})", legend="sessions {{instance}}"),
                Query(expr="sender_sessions_max{NODE}", legend="limit {{instance}}", shape="dashed"),
            ),
        ),
        Panel(
            title="Descriptors of all that are allowed",
            description="Touches the red line: raise LimitNOFILE of the service. A session needs one.",
            kind=Kind.LINES,
            width=4,
            queries=(
                Query(expr="process_open_fds{NODE}", legend="open {{instance}}"),
                Query(expr="process_max_fds{NODE}", legend="limit {{instance}}", shape="dashed"),
            ),
        ),
    ),
)

_NAMES = Row(
    heading="Names and clients",
    height=8,
    panels=(
        Panel(
            title="Does DNS answer?",
            description=(
                "Red (temporary: no answer or SERVFAIL) beside green: the resolver is ill; `[dns] nameservers`. Grey: "
                "domains that do not exist; the list is old."
            ),
            kind=Kind.AREAS,
            width=8,
            unit=PER_SECOND,
            nothing="nothing was looked up",
            queries=(Query(expr="sum by (result) (rate(sender_dns_lookups_total{NODE}RATE))", legend="{{result}}"),),
        ),
        Panel(
            title="How fast is DNS?",
            description="p99 above a second: put a caching resolver on this machine.",
            kind=Kind.LINES,
            width=8,
            unit=SECONDS,
            nothing="nothing was looked up",
            queries=quantiles("sender_dns_lookup_seconds_bucket{NODE}", "p50", "p99", by=("instance",)),
        ),
        Panel(
            title="What is not taken from clients, or held?",
            description=(
                "Mail refused at submission by reason, and mail held for a fault of its own. Held: `sender message ID` "
                "says why, `resume`, `bounce` or `delete` ends it."
            ),
            kind=Kind.BARS,
            width=8,
            unit=PER_SECOND,
            nothing="nothing",
            queries=(
                Query(
                    expr="sum by (listener, reason) (rate(sender_messages_refused_total{NODE}RATE))",
                    legend="{{listener}} {{reason}}",
                ),
                Query(expr="sum by (reason) (rate(sender_messages_held_total{NODE}RATE))", legend="held: {{reason}}"),
            ),
        ),
    ),
)

_EVENTS = Row(
    heading="Events",
    height=8,
    panels=(
        Panel(
            title="Are events lost?",
            description="Any is too many: the file's disk is full, or the webhook did not answer until the buffer was.",
            kind=Kind.BARS,
            width=8,
            unit=PER_SECOND,
            nothing="none",
            queries=(Query(expr="sum by (to) (rate(sender_events_dropped_total{NODE}RATE))", legend="{{to}}"),),
        ),
        Panel(
            title="Does the webhook take them?",
            description="Requests by result. Red: what answers there refuses or is away; they are sent again.",
            kind=Kind.AREAS,
            width=8,
            unit=PER_SECOND,
            nothing="no webhook",
            queries=(
                Query(expr="sum by (result) (rate(sender_webhook_requests_total{NODE}RATE))", legend="{{result}}"),
            ),
        ),
        Panel(
            title="How far is the webhook behind?",
            description="Bytes that wait for it, and the age of the oldest (bars). It grows: it is too slow.",
            kind=Kind.LINES,
            width=8,
            unit=BYTES,
            nothing="no webhook",
            queries=(
                Query(expr="sender_webhook_buffer_bytes{NODE}", legend="{{instance}}"),
                Query(
                    expr="sender_webhook_oldest_seconds{NODE}",
                    legend="oldest {{instance}}",
                    unit=SECONDS,
                    shape="right",
                ),
            ),
        ),
    ),
)

NODE = Board(
    uid="sender-node",
    title="Sender node",
    description="Has the daemon what it needs: disk, time, memory, names? Do its events arrive?",
    variables=(NODES,),
    rows=(_STATE, _SPOOL, _PROCESS, _NAMES, _EVENTS),
)
