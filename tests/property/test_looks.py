"""Second looks: whatever the order of answers and edits, nobody looks twice and the outcome is the same."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.core.annotation import Annotation
from labelloop.core.line import LINE_END
from labelloop.core.looks import (
    Asked,
    Followed,
    Look,
    Referee,
    Referees,
    agreed,
    awaits_referee,
    confirmed,
    follow,
    found_error,
    is_unconfirmed,
    recaptured,
)

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
UNCHECKED = next(p for p in range(LINE_END) if not Asked("cat", p).checked)
CHECKED = next(p for p in range(LINE_END) if Asked("cat", p).checked)
PEOPLE = frozenset({"ana", "ben", "cem", "ref", "rob"})


def said(answers: str) -> dict[Look, list[Annotation]]:
    """Answers such as "0ana=cat": the look, the person, and what they said, in the order of answering."""
    made: dict[Look, list[Annotation]] = {}
    for i, text in enumerate(answers.split()):
        who, _, answer = text.partition("=")
        made.setdefault(Look(int(who[0])), []).append(
            Annotation(
                task_key=who[0],
                remote_id=f"{i:03}",
                updated_at=START + timedelta(minutes=i),
                annotator=who[1:],
                answer=answer or None,
                skipped=not answer,
            )
        )
    return made


def named(*people: str) -> Referees:
    return Referees(tuple(Referee(annotator=p, named_at=START) for p in people))


def followed(
    answers: str,
    *,
    place: int = UNCHECKED,
    referees: Referees | None = None,
    people: frozenset[str] = PEOPLE,
    recapture: bool = False,
) -> Followed:
    return follow(
        said(answers),
        [Asked("cat", place)],
        people=people,
        referees=named("ref", "rob") if referees is None else referees,
        recapture=recapture,
    )


def asked_next(found: Followed) -> set[str]:
    return {look.name for look in found.wanted - found.replies.keys()}


@pytest.mark.parametrize(
    ("answers", "place", "label", "next_"),
    [
        ("", UNCHECKED, None, "FIRST"),
        ("0ana=cat", UNCHECKED, "cat", ""),
        ("0ana=dog", UNCHECKED, "dog", "SECOND"),
        ("0ana=dog 1ref=dog", UNCHECKED, "dog", ""),
        ("0ana=dog 1ref=cat", UNCHECKED, "cat", ""),
        ("0ana=dog 1ref=cow", UNCHECKED, "cow", ""),
        ("0ana=dog 1ben=cat", UNCHECKED, "dog", "SECOND"),
        ("0ana=dog 1ana=dog", UNCHECKED, "dog", "SECOND"),
        ("0ana=dog 1ben=cat 1ref=dog", UNCHECKED, "dog", ""),
        ("0ana=cat", CHECKED, "cat", "SECOND"),
        ("0ana=cat 1ref=cat", CHECKED, "cat", ""),
        ("0ana=cat 1ref=dog", CHECKED, "cat", "SETTLING"),
        ("0ana=cat 1ref=dog 2ref=dog", CHECKED, "cat", "SETTLING"),
        ("0ana=cat 1ref=dog 2ben=dog", CHECKED, "cat", "SETTLING"),
        ("0ana=cat 1ref=dog 2rob=dog", CHECKED, "dog", ""),
        ("0ana=cat 1ref=dog 2rob=cat", CHECKED, "cat", ""),
        ("0ref=dog 1ref=dog", UNCHECKED, "dog", "SECOND"),
        ("0ref=dog 1rob=dog", UNCHECKED, "dog", ""),
        ("0ana= 0ben=dog", UNCHECKED, "dog", "SECOND"),
        ("0ana=dog 1ref=", UNCHECKED, "dog", "SECOND"),
    ],
)
def test_who_is_asked_next_and_which_answer_holds(
    answers: str, place: int, label: str | None, next_: str
) -> None:
    found = followed(answers, place=place)
    assert confirmed(found.replies, "cat") == label
    assert asked_next(found) == set(next_.split())


@pytest.mark.parametrize(
    ("answers", "next_", "waits"),
    [
        ("0ana=cat", "SECOND", True),
        ("0ref=cat", "", False),
        ("0ana=cat 1ref=cat", "", False),
        ("0ana=cat 1ben=cat", "SECOND", True),
        ("0ana=cat 1ref=dog", "SETTLING", True),
        ("0ana=cat 1ref=dog 2rob=dog", "", False),
        ("0ana=dog 1ref=dog", "", False),
        ("0ref=dog", "SECOND", False),
        ("0ref=dog 1rob=cat", "", False),
    ],
)
def test_a_check_for_a_guarantee_waits_for_a_referees_answer(
    answers: str, next_: str, waits: bool
) -> None:
    found = follow(
        said(answers),
        [Asked("cat", UNCHECKED, audit=True)],
        people=PEOPLE,
        referees=named("ref", "rob"),
        recapture=False,
    )
    assert asked_next(found) == set(next_.split())
    assert awaits_referee(found.replies, "cat", referees=True) is waits


def test_without_referees_a_check_counts_by_any_answer() -> None:
    asked = [Asked("cat", UNCHECKED, audit=True)]
    found = follow(said("0ana=cat"), asked, people=PEOPLE, referees=named(), recapture=False)
    assert asked_next(found) == set()
    assert not awaits_referee(found.replies, "cat", referees=False)
    late = Referees((Referee(annotator="ref", named_at=START + timedelta(days=1)),))
    found = follow(said("0ana=cat"), asked, people=PEOPLE, referees=late, recapture=False)
    assert asked_next(found) == set()
    assert not late.decide_of(START)
    assert late.decide_of(START + timedelta(days=2))


def test_without_a_referee_a_third_person_settles_what_two_contradict() -> None:
    none = named()
    assert asked_next(followed("0ana=dog 1ben=dog", referees=none)) == set()
    assert asked_next(followed("0ana=dog 1ben=cat", referees=none)) == {"SETTLING"}
    settled = followed("0ana=dog 1ben=cat 2cem=cat", referees=none)
    assert confirmed(settled.replies, "cat") == "cat"


def test_one_referee_whose_own_first_answer_differs_is_confirmed_by_anybody_else() -> None:
    one = named("ref")
    assert asked_next(followed("0ref=dog", referees=one)) == {"SECOND"}
    assert asked_next(followed("0ref=dog 1ana=dog", referees=one)) == set()
    found = followed("0ana=cat 1ref=dog", place=CHECKED, referees=one)
    assert asked_next(found) == {"SETTLING"}
    found = followed("0ana=cat 1ref=dog 2ben=dog", place=CHECKED, referees=one)
    assert found_error(found.replies, Asked("cat", CHECKED)) is True


def test_a_confirmed_error_is_recaptured_by_somebody_new() -> None:
    assert asked_next(followed("0ana=dog 1ref=dog")) == set()
    assert asked_next(followed("0ana=dog 1ref=dog", recapture=True)) == {"RECAPTURE"}
    assert asked_next(followed("0ana=dog 1ref=cat", recapture=True)) == set()
    again = followed("0ana=dog 1ref=dog 3ana=cat 3ben=cat", recapture=True)
    assert recaptured(again.replies, "cat") is True
    assert [a.annotator for a in again.wasted] == ["ana"]


def test_nobody_is_asked_where_nobody_is_left() -> None:
    alone = followed("0ana=dog", people=frozenset({"ana"}), referees=named())
    assert alone.lacking == {Look.SECOND}
    assert is_unconfirmed(alone.replies, "cat")
    two = followed(
        "0ana=dog 1ref=dog",
        people=frozenset({"ana", "ref"}),
        referees=named("ref"),
        recapture=True,
    )
    assert two.lacking == {Look.RECAPTURE}


def test_what_a_referee_said_before_they_left_stands() -> None:
    left = Referee(annotator="ref", named_at=START, left_at=START + timedelta(hours=1))
    other = Referee(annotator="rob", named_at=START)
    found = followed("0ana=dog 1ref=cat", referees=Referees((left, other)))
    assert confirmed(found.replies, "cat") == "cat"
    gone = Referee(annotator="ref", named_at=START, left_at=START + timedelta(seconds=30))
    found = followed("0ana=dog 1ref=cat", referees=Referees((gone, other)))
    assert asked_next(found) == {"SECOND"}


def test_an_answer_that_counted_stays_when_a_referee_is_named_later() -> None:
    late = Referees((Referee(annotator="ref", named_at=START + timedelta(days=1)),))
    assert asked_next(followed("0ana=dog 1ben=dog", referees=late)) == set()


def test_a_look_at_an_agreeing_draw_counts_only_where_chance_chose_it() -> None:
    found = followed("0ana=cat 1ref=cat")
    assert found_error(found.replies, Asked("cat", UNCHECKED)) is None
    assert found_error(found.replies, Asked("cat", CHECKED)) is False
    assert found_error(found.replies, Asked("dog", CHECKED)) is None
    assert agreed(found.replies, "cat")
    assert not agreed(found.replies, "dog")


def test_about_a_tenth_of_the_agreeing_draws_are_looked_at() -> None:
    assert 900 < sum(Asked("cat", place).checked for place in range(10_000)) < 1_100


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(list(Look)),
        st.sampled_from(sorted(PEOPLE)),
        st.sampled_from(["cat", "dog", "cow", ""]),
    ),
    max_size=12,
)


@given(EVENTS, st.booleans(), st.booleans(), st.sets(st.sampled_from(sorted(PEOPLE))))
def test_nobody_gives_two_looks_and_what_is_wasted_changes_nothing(
    events: Sequence[tuple[Look, str, str]], checked: bool, recapture: bool, referees: set[str]
) -> None:
    answers = " ".join(f"{look.value}{who}={answer}" for look, who, answer in events)
    place = CHECKED if checked else UNCHECKED
    found = followed(answers, place=place, referees=named(*referees), recapture=recapture)
    people = [reply.by for reply in found.replies.values()]
    assert len(people) == len(set(people))
    wasted = {a.remote_id for a in found.wasted}
    kept: Mapping[Look, Sequence[Annotation]] = {
        look: [a for a in own if a.remote_id not in wasted] for look, own in said(answers).items()
    }
    without = follow(
        kept,
        [Asked("cat", place)],
        people=PEOPLE,
        referees=named(*referees),
        recapture=recapture,
    )
    assert (without.replies, without.wanted) == (found.replies, found.wanted)
    assert not without.wasted


@given(EVENTS, st.randoms(use_true_random=False))
def test_the_order_in_which_answers_are_read_changes_nothing(
    events: Sequence[tuple[Look, str, str]], luck: "object"
) -> None:
    answers = said(" ".join(f"{look.value}{who}={answer}" for look, who, answer in events))
    shuffled = {look: list(own) for look, own in reversed(answers.items())}
    for own in shuffled.values():
        luck.shuffle(own)  # type: ignore[attr-defined]

    def outcome_of(given: Mapping[Look, Sequence[Annotation]]) -> object:
        found = follow(
            given,
            [Asked("cat", CHECKED), Asked("dog", UNCHECKED)],
            people=PEOPLE,
            referees=named("ref", "rob"),
            recapture=True,
        )
        return found.replies, found.wanted, {a.remote_id for a in found.wasted}

    assert outcome_of(answers) == outcome_of(shuffled)


@given(st.data())
def test_whoever_may_answer_does_and_it_ends(data: st.DataObject) -> None:
    """People answer what they are offered, in any order: at most four answers that count, and an end."""
    given_: dict[Look, list[Annotation]] = {}
    place = data.draw(st.sampled_from([CHECKED, UNCHECKED]))
    referees = named(*data.draw(st.sets(st.sampled_from(sorted(PEOPLE)), max_size=3)))
    for number in range(40):
        found = follow(
            given_, [Asked("cat", place)], people=PEOPLE, referees=referees, recapture=True
        )
        due = sorted(found.wanted - found.replies.keys() - found.lacking)
        if not due:
            break
        look = due[0]
        tried = {a.annotator for a in given_.get(look, ())}
        who = data.draw(st.sampled_from(sorted(PEOPLE - tried)))
        given_.setdefault(look, []).append(
            Annotation(
                task_key="k",
                remote_id=f"{number:03}",
                updated_at=START + timedelta(minutes=number),
                annotator=who,
                answer=data.draw(st.sampled_from(["cat", "dog"])),
                skipped=False,
            )
        )
    else:
        pytest.fail("it went on for 40 answers")
    assert confirmed(found.replies, "cat") is not None
    assert not is_unconfirmed(found.replies, "cat") or found.lacking
