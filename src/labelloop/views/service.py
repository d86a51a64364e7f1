"""What the service did last, what it does next, and what is paused."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from labelloop.core import due
from labelloop.core.due import VERBS, VerbState
from labelloop.ledger import Ledger, pauses, verb_states
from labelloop.ledger.pauses import Pause


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbReport:
    """When a verb last succeeded, when it failed, and when it is tried next.

    n_failures
        how often it has failed since it last succeeded
    error
        what the last of these failures said
    next_at
        None: now, or, for `select`, when a round is due
    """

    verb: str
    succeeded_at: datetime | None
    failed_at: datetime | None
    n_failures: int
    error: str
    next_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """The verbs in their order, the paused queues, and whether nothing new is sent to people now."""

    verbs: tuple[VerbReport, ...]
    paused: tuple[Pause, ...]
    quiet: bool


def service_state(ledger: Ledger, *, every: timedelta, quiet: bool) -> ServiceState:
    """What the ledger says of the service now."""
    with ledger.read() as tx:
        states = verb_states.every(tx)
        paused = pauses.every(tx)
    return ServiceState(
        verbs=tuple(_report(verb, states.get(verb, VerbState()), every) for verb in VERBS),
        paused=tuple(paused),
        quiet=quiet,
    )


def _report(verb: str, state: VerbState, every: timedelta) -> VerbReport:
    by_itself = verb != "select" or state.n_failures > 0
    return VerbReport(
        verb=verb,
        succeeded_at=state.succeeded_at,
        failed_at=state.failed_at,
        n_failures=state.n_failures,
        error=state.error if state.n_failures else "",
        next_at=due.next_try_at(state, every) if by_itself else None,
    )
