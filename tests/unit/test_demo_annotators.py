from hashlib import sha256

import pytest

from labelloop.demo.annotators import Annotators, AnnotatorsError, Form
from labelloop.demo.digits import CLASSES

PICTURES = [f"picture {i}".encode() for i in range(5000)]
TRUTH = {sha256(p).digest(): CLASSES[i % 10] for i, p in enumerate(PICTURES)}


def people(seed: int = 0) -> Annotators:
    return Annotators("http://127.0.0.1:9", "none", truth=TRUTH, seed=seed)


def test_people_are_wrong_about_twice_in_a_hundred() -> None:
    crowd = people()
    said = [crowd.judge(p, CLASSES) for p in PICTURES]
    wrong = [i for i, answer in enumerate(said) if answer != CLASSES[i % 10]]
    assert 0.01 < len(wrong) / len(PICTURES) < 0.03
    assert {said[i] for i in wrong} == set(CLASSES)


def test_the_same_people_say_the_same_again() -> None:
    one, again, other = people(1), people(1), people(2)
    assert [one.judge(p, CLASSES) for p in PICTURES] == [again.judge(p, CLASSES) for p in PICTURES]
    assert [one.judge(p, CLASSES) for p in PICTURES] != [other.judge(p, CLASSES) for p in PICTURES]


def test_an_unknown_picture_is_an_error() -> None:
    with pytest.raises(AnnotatorsError, match="never served"):
        people().judge(b"something else", CLASSES)


def test_a_form_is_read_from_the_labelling_configuration() -> None:
    form = Form.parse(
        '<View><Header value="$confidence"/><Image name="input" value="$picture"/>'
        '<Choices name="label" toName="input"><Choice value="a &lt; b"/><Choice value="c"/>'
        "</Choices></View>"
    )
    assert form == Form(
        control="label", input_name="input", image_key="picture", choices=("a < b", "c")
    )
