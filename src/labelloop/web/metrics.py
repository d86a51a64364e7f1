"""/metrics: the numbers of the service for Prometheus, in the form of OpenMetrics."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from labelloop import __version__
from labelloop.core.estimate import Estimate
from labelloop.ledger import events
from labelloop.loop import Loop
from labelloop.views.service import ServiceState

MEDIA_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_Samples = list[tuple[dict[str, str], float]]


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with its samples: labels and a value each."""

    name: str
    says: str
    samples: _Samples
    kind: str = "gauge"


def exposition(found: Mapping[str, Sequence[Family]]) -> str:
    """The metrics of projects as text, by the projects' names; a name that is empty makes no label."""
    merged: dict[str, Family] = {}
    for project, families in found.items():
        label = {"project": project} if project else {}
        for each in families:
            own = [(label | labels, value) for labels, value in each.samples]
            held = merged.setdefault(each.name, Family(each.name, each.says, [], each.kind))
            held.samples.extend(own)
    return "".join(map(_written, merged.values())) + "# EOF\n"


def families(loop: Loop, service: ServiceState) -> Iterator[Family]:
    """Every metric of a project. What can't be estimated is left out."""
    now = loop.project.clock.now()
    status, measured = loop.status(), loop.measure()
    recent = measured.last_seven_days
    yield Family("labelloop_build", "The version.", [({"version": __version__}, 1)], "info")
    accuracy = recent.estimate
    if isinstance(accuracy, Estimate):
        for name, value in (
            ("estimate", accuracy.value),
            ("low", accuracy.low),
            ("high", accuracy.high),
            ("worst_low", accuracy.worst_low),
            ("worst_high", accuracy.worst_high),
        ):
            says = f"Accuracy of the last seven days: {name}."
            yield Family(f"labelloop_accuracy_{name}", says, [({}, value)])
    yield Family(
        "labelloop_accuracy_fallen",
        "Whether the accuracy has fallen.",
        [({}, float(measured.trend.alarm is not None))],
    )
    yield Family(
        "labelloop_blind_labels", "Blind labels of the last seven days.", [({}, recent.n_labelled)]
    )
    with loop.project.ledger_to_read.read() as tx:
        newest = events.newest_at(tx, "resolved")
    if newest is not None:
        yield Family(
            "labelloop_newest_label_age_seconds",
            "How long ago the newest label came.",
            [({}, max(0.0, (now - newest).total_seconds()))],
        )
    yield Family(
        "labelloop_tasks",
        "Tasks of each queue by their state.",
        [
            ({"queue": q.queue, "purpose": q.purpose.value, "state": state}, n)
            for q in status.queues
            for state, n in (
                ("to_send", q.n_to_send),
                ("with_people", q.n_open),
                ("tied", q.n_tied),
                ("skipped", q.n_skipped),
                ("labelled", q.n_resolved),
                ("lost", q.n_lost),
            )
        ],
    )
    yield Family(
        "labelloop_oldest_task_age_seconds",
        "How long the oldest task of each queue has waited for a person.",
        [
            ({"queue": q.queue}, max(0.0, (now - q.oldest_at).total_seconds()))
            for q in status.queues
            if q.oldest_at is not None
        ],
    )
    yield Family(
        "labelloop_rejected_rows",
        "Rejected rows, by reason.",
        [({"reason": str(reason)}, n) for reason, n in status.n_rejected.items()],
    )
    yield Family(
        "labelloop_queue_paused",
        "Whether each queue is paused.",
        [
            ({"queue": q.name}, float(q.name in {p.queue for p in service.paused}))
            for q in loop.settings.queue
        ],
    )
    yield Family(
        "labelloop_verb_last_success_timestamp_seconds",
        "When each verb last succeeded.",
        [({"verb": v.verb}, _seconds(v.succeeded_at)) for v in service.verbs if v.succeeded_at],
    )
    yield Family(
        "labelloop_verb_failures",
        "How often each verb has failed since it last succeeded.",
        [({"verb": v.verb}, v.n_failures) for v in service.verbs],
    )


def _seconds(at: datetime | None) -> float:
    return at.timestamp() if at is not None else 0.0


def _written(family: Family) -> str:
    lines = [f"# TYPE {family.name} {family.kind}\n# HELP {family.name} {family.says}\n"]
    suffix = "_info" if family.kind == "info" else ""
    for labels, value in family.samples:
        held = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{family.name}{suffix}{f'{{{held}}}' if held else ''} {float(value)!r}\n")
    return "".join(lines)


def _escaped(text: str) -> str:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return quoted.encode("utf-8", "replace").decode()
