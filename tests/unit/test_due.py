"""What a service does when: by what was done and what time it is."""

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelloop.core.due import LAST_RETRY, VERBS, VerbState, due_verbs, next_try_at

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVERY = timedelta(minutes=15)
WITHOUT_SELECT = tuple(v for v in VERBS if v != "select")
LATER = NOON + timedelta(days=1)


def done_at(at: datetime, *, but: dict[str, VerbState] | None = None) -> dict[str, VerbState]:
    return {verb: VerbState(succeeded_at=at) for verb in VERBS} | (but or {})


def due(
    states: dict[str, VerbState],
    *,
    minutes: float = 0,
    round_at: datetime | None = LATER,
    held: bool = False,
    hinted: bool = False,
) -> tuple[str, ...]:
    now = NOON + timedelta(minutes=minutes)
    return due_verbs(states, every=EVERY, now=now, round_at=round_at, held=held, hinted=hinted)


def test_a_new_project_does_everything_at_once() -> None:
    assert due({}, round_at=None) == VERBS


def test_nothing_is_due_before_its_time() -> None:
    assert due(done_at(NOON), minutes=14.9) == ()


def test_all_verbs_are_due_together() -> None:
    hinted = {"collect": VerbState(succeeded_at=NOON + timedelta(minutes=7))}
    assert due(done_at(NOON, but=hinted), minutes=15) == WITHOUT_SELECT


def test_a_jump_of_the_clock_brings_one_turn() -> None:
    assert due(done_at(NOON), minutes=60 * 24 * 30) == (*VERBS[:2], *VERBS[2:])
    assert due(done_at(NOON + timedelta(days=30)), minutes=60 * 24 * 30, round_at=None) == ()


def test_a_clock_that_was_set_back_doesn_t_wait_for_its_old_time() -> None:
    assert due(done_at(NOON), minutes=-60) == WITHOUT_SELECT


def test_a_hint_brings_answers_into_the_numbers() -> None:
    assert due(done_at(NOON), minutes=1, hinted=True) == ("collect", "measure", "notify")


def test_a_round_that_is_due_reads_its_traffic_first_and_is_sent() -> None:
    found = due(done_at(NOON), minutes=1, round_at=NOON + timedelta(seconds=30))
    assert found == ("index", "select", "send", "notify")


def test_a_round_without_traffic_is_not_tried_all_the_time() -> None:
    tried = {"select": VerbState(succeeded_at=NOON)}
    at = NOON - timedelta(hours=1)
    assert due(done_at(NOON, but=tried), minutes=1, round_at=at) == ()
    assert "select" in due(done_at(NOON, but=tried), minutes=15, round_at=at)


def test_a_paused_evaluation_queue_holds_the_round_back() -> None:
    assert due(done_at(NOON), minutes=1, round_at=NOON, held=True) == ()
    assert due({}, round_at=None, held=True) == WITHOUT_SELECT


def failed(verb: str, n: int) -> dict[str, VerbState]:
    return {verb: VerbState(succeeded_at=None, failed_at=NOON, n_failures=n)}


def test_a_verb_that_fails_is_tried_again_alone() -> None:
    states = done_at(NOON, but=failed("send", 1))
    assert due(states, minutes=0.2) == ()
    assert due(states, minutes=0.25) == ("send",)


def test_a_verb_that_fails_doesn_t_stop_the_others() -> None:
    states = done_at(NOON - timedelta(minutes=14), but=failed("build", 9))
    assert due(states, minutes=1) == tuple(v for v in WITHOUT_SELECT if v != "build")


def test_a_failed_select_is_tried_again_with_backoff() -> None:
    states = done_at(NOON, but=failed("select", 3))
    assert due(states, minutes=0.9, round_at=NOON) == ()
    assert due(states, minutes=1, round_at=NOON) == ("index", "select", "send", "notify")


@given(n=st.integers(1, 10_000))
def test_backoff_grows_to_an_hour(n: int) -> None:
    at = next_try_at(VerbState(failed_at=NOON, n_failures=n), EVERY)
    after = next_try_at(VerbState(failed_at=NOON, n_failures=n + 1), EVERY)
    assert at is not None
    assert after is not None
    assert NOON < at <= after <= NOON + LAST_RETRY


states_of_verbs = st.dictionaries(
    st.sampled_from(VERBS),
    st.builds(
        lambda ok, bad, n: VerbState(
            succeeded_at=None if ok is None else NOON + timedelta(seconds=ok),
            failed_at=NOON + timedelta(seconds=bad) if n else None,
            n_failures=n,
        ),
        st.none() | st.integers(-5_000, 5_000),
        st.integers(-5_000, 5_000),
        st.integers(0, 5),
    ),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(states=states_of_verbs, hinted=st.booleans(), held=st.booleans())
def test_what_was_just_done_is_not_due_again(
    states: dict[str, VerbState], hinted: bool, held: bool
) -> None:
    """However it stood before: a service never turns without end."""
    found = due(states, round_at=NOON, hinted=hinted, held=held)
    assert found == tuple(v for v in VERBS if v in found), "in order"
    after = states | {verb: VerbState(succeeded_at=NOON) for verb in found}
    again = due(after, round_at=NOON + timedelta(days=1), held=held)
    assert not set(again) & set(found)


@given(states=states_of_verbs)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_every_verb_is_due_in_the_end(states: dict[str, VerbState]) -> None:
    assert due(states, minutes=60 * 24, round_at=NOON) == VERBS
