"""Which answers a number rests on, and what each person did: in sentences, and as a table."""

from typing import TYPE_CHECKING

from labelloop.core.estimate import Estimate, Undefined
from labelloop.views.table import NONE, Row, Table, names, numbers
from labelloop.views.wording import bounds, counted, percent, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labelloop.measuring.answers import RestsOn
    from labelloop.measuring.measured import Measured
    from labelloop.measuring.people import Person


def rests_on(m: "Measured") -> str:
    """What the headline rests on and assumes, in sentences; empty where there is no accuracy."""
    e = (m.period or m.last_seven_days).estimate
    if isinstance(e, Undefined) or m.rests_on is None:
        return ""
    return " ".join(_looked_again(m, m.rests_on) if m.rests_on.second_looks else _single(m))


def in_short(m: "Measured") -> str:
    """The same where there is little room: of single answers the band alone."""
    if m.rests_on is None or m.rests_on.second_looks or not m.if_wrong:
        return rests_on(m)
    errors = _either([f"{w.error:.0%}" for w in m.if_wrong])
    intervals = _either([span(w.low, w.high) for w in m.if_wrong])
    return f"If the labels are right; if people err independently in {errors}: {intervals}"


def judged_by(r: "RestsOn") -> str:
    """What the labels are that judge a candidate, in a line."""
    if not r.n_confirmed + r.n_refuted:
        return "it holds if the labels are right: nobody looked at them again"
    waiting = f", {r.n_unconfirmed:,} {_wait(r.n_unconfirmed)}" if r.n_unconfirmed else ""
    return (
        f"of {counted(r.n_differing, 'label')} that differ from the serving model, second looks confirmed "
        f"{r.n_confirmed:,} and refuted {r.n_refuted:,}{waiting}; where the candidate alone differs, the "
        "first answer is taken for right"
    )


def _single(m: "Measured") -> "Iterator[str]":
    """Where nobody looked again: it holds if the labels are right."""
    if m.if_wrong:
        errors = _either([f"{w.error:.0%}" for w in m.if_wrong])
        intervals = _either([span(w.low, w.high) for w in m.if_wrong])
        yield (
            f"This holds if the labels are right. If people are wrong in {errors} of cases, each by "
            f"themselves, the interval is {intervals}; if they fall for what the model falls for, the "
            "accuracy is lower than any of these."
        )
    for a in m.agreement:
        if isinstance(a.estimate, Estimate):
            yield (
                f"In {a.queue!r} two people disagree on {percent(1 - a.estimate.value)} of the samples "
                f"({span(1 - a.estimate.high, 1 - a.estimate.low)})."
            )
    rests = m.rests_on
    if rests is not None and rests.n_unconfirmed:
        n = counted(rests.n_unconfirmed, "answer")
        yield (
            f"{n} that differ from the prediction {_wait(rests.n_unconfirmed)} for a second look: a "
            "second person could say which of them are errors of the model"
            + ("; so far one person answers alone." if rests.n_people == 1 else ".")
        )


def _looked_again(m: "Measured", r: "RestsOn") -> "Iterator[str]":
    differ = "differs" if r.n_differing == 1 else "differ"
    waiting = (
        f"; {r.n_unconfirmed:,} {_wait(r.n_unconfirmed)}, and count as errors until then"
        if r.n_unconfirmed
        else ""
    )
    yield (
        f"Counts confirmed errors: of {counted(r.n_differing, 'answer')} that {differ} from the prediction, "
        f"second looks confirmed {r.n_confirmed:,} and refuted {r.n_refuted:,}{waiting}."
    )
    yield _overlooked(m, r)
    if r.n_single:
        yield f"{counted(r.n_single, 'answer')} of rounds without second looks are taken for right."
    yield (
        "What referees overlook too, no number shows."
        if m.n_referees
        else "No referee is named in [people]: most answers decide, which holds for independent mistakes."
    )


def _overlooked(m: "Measured", r: "RestsOn") -> str:
    """How the errors are known that people overlooked."""
    from labelloop.core.looks import ENOUGH_LOOKS, LEAST_RECAPTURES

    if r.n_checked >= ENOUGH_LOOKS:
        bound = ", a lower bound, as there is one referee" if m.n_referees == 1 else ""
        return (
            f"Overlooked errors are taken off: {r.n_checked:,} looks at agreeing answers found "
            f"{r.n_overlooked:,}{bound}."
        )
    if r.n_recaptured >= LEAST_RECAPTURES:
        return (
            f"Overlooked errors are taken off, as {counted(r.n_recaptured, 'further answer')} to confirmed "
            "errors tell; this assumes that all errors are equally easy to overlook: if not, the accuracy "
            "is lower."
        )
    return (
        "Errors that people overlooked aren't taken off yet: the accuracy may be a little lower. "
        f"{LEAST_RECAPTURES} further answers to confirmed errors are needed; there are {r.n_recaptured}."
    )


def _wait(n: int) -> str:
    return "waits" if n == 1 else "wait"


def _either(words: "Sequence[str]") -> str:
    """The words with an "or" before the last.

    >>> _either(["1%", "2%", "5%"])
    '1%, 2% or 5%'
    """
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def people(found: "Sequence[Person]") -> Table:
    """What each person did in the last 30 days."""
    rows: list[Row] = [
        (
            f"{p.name}, referee" if p.referee else p.name,
            f"{p.n_answers:,}",
            NONE if p.pace_s is None else f"{p.pace_s:.0f}",
            f"{p.n_skips:,}",
            f"{p.n_wasted:,}",
            *_share(p.agreement),
            *_share(p.error),
        )
        for p in found
    ]
    return Table(
        title="People, last 30 days",
        columns=(
            *names("person"),
            *numbers("answers", "seconds each", "skips"),
            *numbers("wasted looks", if_any=True),
            *numbers("agree with others", "agree, 95%", "wrong", "wrong, 95%"),
        ),
        rows=tuple(rows),
    )


def _share(e: Estimate | Undefined) -> tuple[str, str]:
    if isinstance(e, Undefined):
        return NONE, NONE
    return percent(e.value), bounds(e.low, e.high)
