import re
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.adapters.label_studio.labelling_config import (
    labelling_config,
    marker_of,
    project_description,
    project_title,
)
from labelloop.core.token import project_marker
from labelloop.errors import ArgumentError
from labelloop.ports.annotator import ProjectSpec


def spec(**changes: Any) -> ProjectSpec:
    given: dict[str, Any] = {
        "title": "fruit",
        "marker": "labelloop:l1/accuracy",
        "classes": ("fig", "plum"),
        "show": (),
        "blind": False,
    }
    return ProjectSpec(**(given | changes))


def parsed(**changes: Any) -> ElementTree.Element:
    return ElementTree.fromstring(labelling_config(spec(**changes)))  # noqa: S314  our own XML


def test_one_image_and_one_required_choice_shown_inline() -> None:
    view = parsed()
    [image] = view.findall("Image")
    assert (image.get("value"), image.get("maxWidth")) == ("$image", "500px")
    [choices] = view.findall("Choices")
    assert {k: choices.get(k) for k in ("choice", "showInline", "required", "toName")} == {
        "choice": "single",
        "showInline": "true",
        "required": "true",
        "toName": image.get("name"),
    }
    assert view.findall("Header") == []


def test_headers_stand_for_what_is_shown_and_nothing_else() -> None:
    view = parsed(show=("confidence", "predicted_class"))
    assert [h.get("value") for h in view.findall("Header")] == [
        "Predicted class: $predicted_class",
        "Model confidence: $confidence",
    ]
    view = parsed(show=("corrected_class",))
    assert [h.get("value") for h in view.findall("Header")] == [
        "User's correction: $corrected_class"
    ]


def test_a_blind_project_that_shows_something_is_refused() -> None:
    with pytest.raises(ArgumentError, match="blind"):
        labelling_config(spec(blind=True, show=("confidence",)))


def test_an_unknown_key_is_refused_by_name() -> None:
    with pytest.raises(ArgumentError, match="colour"):
        labelling_config(spec(show=("colour",)))


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "tab\t", "nul\0", "\ud800"])
def test_classes_that_xml_cannot_carry_are_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match="class"):
        labelling_config(spec(classes=("fig", name)))


def test_no_classes_are_refused() -> None:
    with pytest.raises(ArgumentError, match="class"):
        labelling_config(spec(classes=()))


printable = st.text(min_size=1).filter(lambda t: t.isprintable() and bool(t.strip()))


@given(st.lists(printable, min_size=1, unique=True))
def test_any_printable_class_survives_the_xml(classes: list[str]) -> None:
    view = parsed(classes=tuple(classes))
    answers = [c.get("alias") or c.get("value") for c in view.iter("Choice")]
    assert answers == classes


def test_a_dollar_names_no_data() -> None:
    [choice] = parsed(classes=("$image costs US$5",)).iter("Choice")
    assert choice.get("alias") == "$image costs US$5"
    shown = choice.get("value", "")
    assert shown.replace("\u200b", "") == "$image costs US$5"
    assert not re.search(r"\$[\w\[.{]", shown)


@given(st.text())
def test_titles_stay_within_the_limits(title: str) -> None:
    assert 3 <= len(project_title(title)) <= 50


@given(printable)
def test_the_marker_is_found_in_the_description(queue: str) -> None:
    marker = project_marker("l1", queue.strip())
    assert marker_of(project_description(spec(marker=marker))) == marker


def test_a_description_without_a_marker_has_none() -> None:
    assert marker_of(None) is None
    assert marker_of("made with labelloop: it is fine / good") is None


def test_a_text_is_neither_markup_nor_an_address() -> None:
    view = parsed(kind="text")
    [text] = view.findall(".//Text")
    assert (text.get("value"), text.get("valueType")) == ("$text", "text")
    [choices] = view.findall("Choices")
    assert choices.get("toName") == text.get("name")
    assert view.findall("Image") == []
