from hashlib import sha256

import pytest

from labelloop.demo.annotators import PEOPLE, Annotators, AnnotatorsError, Form, Person
from labelloop.demo.digits import CLASSES

PICTURES = [f"picture {i}".encode() for i in range(15_000)]
TRUTH = {sha256(p).digest(): CLASSES[i % 10] for i, p in enumerate(PICTURES)}


def people(seed: int = 0) -> Annotators:
    return Annotators("http://127.0.0.1:9", "none", truth=TRUTH, seed=seed)


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.email)
def test_people_are_wrong_as_often_as_is_said_of_them(person: Person) -> None:
    crowd = people()
    said = [crowd.judge(p, CLASSES, person) for p in PICTURES]
    wrong = [i for i, answer in enumerate(said) if answer != CLASSES[i % 10]]
    assert abs(len(wrong) / len(PICTURES) - person.error_rate) < 0.0075
    assert {said[i] for i in wrong} == set(CLASSES)


def test_the_same_people_say_the_same_again() -> None:
    one, again, other = people(1), people(1), people(2)
    ana, ben, _ = PEOPLE

    def said(crowd: Annotators, person: Person) -> list[str]:
        return [crowd.judge(p, CLASSES, person) for p in PICTURES]

    assert said(one, ana) == said(again, ana)
    assert said(one, ana) != said(other, ana)
    assert said(one, ana) != said(one, ben)


def test_an_unknown_picture_is_an_error() -> None:
    with pytest.raises(AnnotatorsError, match="never served"):
        people().judge(b"something else", CLASSES, PEOPLE[0])


def test_a_form_is_read_from_the_labelling_configuration() -> None:
    form = Form.parse(
        '<View><Header value="$confidence"/><Image name="input" value="$picture"/>'
        '<Choices name="label" toName="input"><Choice value="a &lt; b"/><Choice value="c"/>'
        "</Choices></View>"
    )
    assert form == Form(
        control="label", input_name="input", image_key="picture", choices=("a < b", "c")
    )
