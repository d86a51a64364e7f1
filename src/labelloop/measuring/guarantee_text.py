"""The guarantees of a training set's model labels, in words."""

from collections.abc import Sequence

from labelloop.measuring.guarantees import CertificateState

ASSUMES = "if people's labels are right"
BY_REFEREES = "checked by referees"


def guarantee(states: Sequence[CertificateState], min_confidence: float | None) -> str:
    """The guarantees that hold for the model labels; if none are kept, what is known of them."""
    kept = [s for s in states if s.prefix and s.n_accepted]
    rest = [s for s in states if s not in kept]
    said = [_promised(s) for s in kept]
    if min_confidence is not None and (rest or not kept):
        other = "other " if kept else ""
        said.append(f"no guarantee: {other}model labels at confidence {min_confidence:g} or above")
    if not said:
        said.append("no model-made labels")
    # one that takes rounds no more, and another that began since, are both worth their line
    last = [[s for s in rest if s.closed is closed][-1:] for closed in (True, False)]
    said += [f"{_rounds(s)}: {s.reason}" for of_kind in last for s in of_kind]
    return "; ".join(said)


def _rounds(state: CertificateState) -> str:
    """The rounds of a guarantee, in words."""
    first, last = state.rounds[0], state.rounds[-1]
    return f"round {first}" if first == last else f"rounds {first} to {last}"


def _promised(state: CertificateState) -> str:
    bound = f"at most {100 * state.max_error:.3g}% of these {state.n_accepted:,} labels are wrong"
    rests_on = BY_REFEREES if state.by_referees else ASSUMES
    return (
        f"guarantee ({1 - state.failure_probability:.1%} confidence, {rests_on}): {bound}. They are "
        f"the surest model labels of {_rounds(state)}"
    )
