"""The guarantee of a training set's model labels, in words."""

from collections.abc import Sequence

from labelloop.measuring.certificates import CertificateState

_OF = {
    "training-set": "certified model labels and people's labels of the same rounds",
    "model-labels": "certified model labels",
    "frame": "the traffic's labels, certified ones and people's",
}


def guarantee(states: Sequence[CertificateState], min_confidence: float | None) -> str:
    """The guarantees that hold for the model labels; if none are kept, the reason."""
    kept = [s for s in states if s.n_accepted]
    rest = [s for s in states if not s.n_accepted]
    said = [_promised(promise, kept, states) for promise in _OF if _of(kept, promise)]
    if min_confidence is not None and (rest or not kept):
        other = "other " if kept else ""
        said.append(f"no guarantee: {other}model labels at confidence {min_confidence:g} or above")
    if not said:
        said.append("no model-made labels")
    # a new one that waits for audits says nothing of why the last complete one failed
    last = [[s for s in rest if s.closed is closed][-1:] for closed in (True, False)]
    said += [_why_none(s) for of_kind in last for s in of_kind]
    return "; ".join(said)


def _why_none(state: CertificateState) -> str:
    """Why a certificate keeps no label yet, and what would help."""
    return f"{_rounds(state)}: {state.reason}"


def _rounds(state: CertificateState) -> str:
    """The rounds of a certificate, in words."""
    first, last = state.rounds[0], state.rounds[-1]
    return f"round {first}" if first == last else f"rounds {first} to {last}"


def _of(states: Sequence[CertificateState], promise: str) -> list[CertificateState]:
    return [s for s in states if s.promise == promise]


def _promised(
    promise: str, kept: Sequence[CertificateState], states: Sequence[CertificateState]
) -> str:
    own = _of(kept, promise)
    n = sum(s.n_accepted for s in own)
    if promise == "training-set":
        n += sum(s.human_labels for s in own)
    elif promise == "frame":
        n = sum(s.n_listed for s in own)
    share = max(s.max_error for s in own)
    # which certificates keep labels depends on the answers, so the chances of all of them count
    sure = 1 - sum(s.failure_probability for s in states if s.closed)
    bound = f"at most {100 * share:.3g}% of these {n:,} labels are wrong"
    return f"guarantee ({sure:.1%} confidence): {bound}: {_OF[promise]}"
