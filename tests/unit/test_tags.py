"""What an object's tags say, and every way in which they can't be read."""

from datetime import UTC, datetime

import pytest

from labelloop.core.sample import RejectReason
from labelloop.reading.model import NO_MODEL
from labelloop.reading.tag_names import TagNames
from labelloop.reading.tags import Reading, TaggedObject, read_tags

NOW = datetime(2026, 3, 2, tzinfo=UTC)
GOOD = {"predicted_class": "cat", "confidence": "0.915", "timestamp": "2026-03-01T12:00:00Z"}


def read(names: TagNames | None = None, **changed: str | None) -> Reading:
    tags = {k: v for k, v in {**GOOD, **changed}.items() if v is not None}
    tagged = TaggedObject(
        sample_id="a.png", uri="s3://b/a.png", content_hash="e", size_bytes=3, tags=tags
    )
    return read_tags(
        tagged,
        names or TagNames(),
        classes=frozenset({"cat", "dog", "2"}),
        salt=b"salt",
        received_at=NOW,
    )


def test_tags_of_shadow_models_are_their_predictions_and_no_attributes() -> None:
    reading = read(**{"shadow:v3": "dog", "shadow:v4": "2", "shadow:": "dog", "note": "x"})
    assert reading.prediction is not None
    assert reading.prediction.attributes == {"note": "x"}
    assert [(p.role, p.model, p.predicted_class, p.confidence) for p in reading.shadows] == [
        ("shadow", "v3", "dog", None),
        ("shadow", "v4", "2", None),
    ]
    assert {(p.sample_id, p.line) for p in reading.shadows} == {
        (reading.prediction.sample_id, reading.prediction.line)
    }


def test_a_shadow_model_with_an_unknown_class_leaves_the_prediction_as_it_is() -> None:
    reading = read(**{"shadow:v3": "wolf", "shadow:v4": "dog"})
    assert reading.prediction is not None
    assert [p.model for p in reading.shadows] == ["v4"]
    assert reading.reject is not None
    assert (reading.reject.reason, reading.reject.value) == (
        "class of a shadow model is unknown",
        "shadow:v3=wolf",
    )


def test_shadow_tags_may_be_called_otherwise() -> None:
    reading = read(TagNames(shadow="also/"), **{"also/v3": "dog", "shadow:v4": "dog"})
    assert [p.model for p in reading.shadows] == ["v3"]


@pytest.mark.parametrize(
    ("changed", "reason", "value"),
    [
        ({"predicted_class": None, "confidence": None, "timestamp": None}, "untagged", ""),
        ({"timestamp": None}, "no timestamp", ""),
        ({"timestamp": "  "}, "no timestamp", ""),
        ({"timestamp": "yesterday"}, "timestamp can't be read", "yesterday"),
        ({"timestamp": "2026-13-01"}, "timestamp can't be read", "2026-13-01"),
        ({"timestamp": "1989-12-31"}, "timestamp can't be read", "1989-12-31"),
        ({"timestamp": "2100-01-01"}, "timestamp can't be read", "2100-01-01"),
        (
            {"timestamp": "0001-01-01T00:00:00+10:00"},
            "timestamp can't be read",
            "0001-01-01T00:00:00+10:00",
        ),
        ({"predicted_class": None}, "no predicted class", ""),
        ({"predicted_class": ""}, "no predicted class", ""),
        ({"predicted_class": "Cat"}, "unknown class", "Cat (meant: 'cat'?)"),
        ({"predicted_class": "cat "}, "unknown class", "cat  (meant: 'cat'?)"),
        ({"predicted_class": "cow"}, "unknown class", "cow"),
        *(
            ({"confidence": bad}, "confidence isn't a number in [0, 1]", bad)
            for bad in ("abc", "nan", "inf", "-inf", "1.2", "-0.1", "1_0", "0,5", "50%", "1e400")
        ),
    ],
)
def test_what_cannot_be_read_is_set_aside_with_its_reason_and_value(
    changed: dict[str, str | None], reason: str, value: str
) -> None:
    reading = read(**changed)
    assert reading.prediction is None
    assert reading.feedback == ()
    assert reading.reject is not None
    assert (reading.reject.uri, reading.reject.reason, reading.reject.value) == (
        "s3://b/a.png",
        RejectReason(reason),
        value,
    )


@pytest.mark.parametrize("tags", [{}, {"owner": "me"}, {"flagged": "true"}])
def test_an_object_without_any_tag_of_a_prediction_is_untagged(tags: dict[str, str]) -> None:
    reading = read(predicted_class=None, confidence=None, timestamp=None, **tags)
    assert reading.reject is not None
    assert reading.reject.reason is RejectReason.UNTAGGED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00+01:00", datetime(2026, 3, 1, 11, tzinfo=UTC)),
        ("2026-03-01T12:00:00-0530", datetime(2026, 3, 1, 17, 30, tzinfo=UTC)),
        ("2026-03-01T12:00:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01 12:00:00.25", datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_a_timestamp_has_z_or_an_offset_and_is_utc_without(text: str, expected: datetime) -> None:
    prediction = read(timestamp=text).prediction
    assert prediction is not None
    assert prediction.predicted_at == expected
    assert prediction.predicted_at.utcoffset() == UTC.utcoffset(None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0.0),
        ("1", 1.0),
        ("1.000", 1.0),
        (" .5 ", 0.5),
        ("1e-3", 0.001),
        ("", None),
        (None, None),
    ],
)
def test_a_confidence_is_in_0_to_1_and_may_be_missing(
    text: str | None, expected: float | None
) -> None:
    reading = read(confidence=text)
    assert reading.reject is None
    assert reading.prediction is not None
    assert reading.prediction.confidence == expected


def test_unknown_tags_become_attributes_and_the_model_is_named_where_it_is() -> None:
    plain, named = read(site="Bern").prediction, read(model="v7").prediction
    assert plain is not None
    assert named is not None
    assert plain.attributes == {"site": "Bern"}
    assert plain.model == NO_MODEL
    assert (named.model, named.attributes) == ("v7", {})


def test_tags_may_have_other_names() -> None:
    names = TagNames(predicted_class="label", confidence="score", timestamp="ts")
    reading = read(
        names, predicted_class=None, confidence=None, timestamp=None,
        label="dog", score="0.25", ts="2026-03-01",
    )  # fmt: skip
    assert reading.prediction is not None
    assert (reading.prediction.predicted_class, reading.prediction.confidence) == ("dog", 0.25)
    assert reading.prediction.attributes == {}


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"flagged": "true"}, {("flagged", "true")}),
        ({"flagged": " True "}, {("flagged", "true")}),
        ({"flagged": "false"}, {("flagged", "false")}),
        ({"flagged": "1"}, {("flagged", "true")}),
        ({"flagged": "0"}, {("flagged", "false")}),
        ({"flagged": ""}, set()),
        ({"corrected_class": "dog"}, {("corrected_class", "dog")}),
        ({"corrected_class": ""}, {("corrected_class", "")}),
        (
            {"flagged": "true", "corrected_class": "2"},
            {("flagged", "true"), ("corrected_class", "2")},
        ),
    ],
)
def test_feedback_is_read(tags: dict[str, str], expected: set[tuple[str, str]]) -> None:
    reading = read(**tags)
    assert reading.reject is None
    assert {(f.kind, f.value) for f in reading.feedback} == expected
    assert all(f.sample_id == "a.png" and f.received_at == NOW for f in reading.feedback)


@pytest.mark.parametrize(
    ("tags", "reason", "value"),
    [
        ({"flagged": "yes"}, RejectReason.BAD_FLAG, "yes"),
        ({"corrected_class": "doge"}, RejectReason.UNKNOWN_CORRECTION, "doge"),
    ],
)
def test_feedback_that_cannot_be_read_leaves_the_prediction(
    tags: dict[str, str], reason: RejectReason, value: str
) -> None:
    reading = read(**tags)
    assert reading.prediction is not None
    assert reading.feedback == ()
    assert reading.reject is not None
    assert (reading.reject.reason, reading.reject.value) == (reason, value)
