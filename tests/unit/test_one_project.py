"""Two labelloop.toml beside one ledger."""

import pytest

from labelloop.errors import LedgerError
from labelloop.ledger import classes
from tests.world import HEAD, World

BIRDS = (
    HEAD.replace('"pets"', '"birds"')
    .replace('"s3://production"', '"s3://aviary"')
    .replace('["cat", "dog"]', '["tit", "wren"]')
)


@pytest.mark.mistake("two-configs")
def test_settings_of_another_project_are_refused_before_they_change_anything(world: World) -> None:
    world.traffic(10)
    world.loop.run()
    world.configure(head=BIRDS)
    with pytest.raises(
        LedgerError, match=r"belongs to the project 'pets' with the inputs s3://prod"
    ) as e:
        world.loop.run()
    assert "its own folder" in e.value.remedy
    world.configure()
    with world.loop.project.ledger.read() as tx:
        assert classes.live(tx) == {"cat", "dog"}


def test_a_project_and_its_bucket_may_be_renamed(world: World) -> None:
    def name_of_classes() -> set[str]:
        with world.loop.project.ledger.read() as tx:
            return set(classes.live(tx))

    name_of_classes()
    world.configure(head=HEAD.replace('"pets"', '"animals"'))
    name_of_classes()
    renamed = HEAD.replace('"pets"', '"animals"').replace('"s3://production"', '"s3://aviary/a"')
    world.configure(head=renamed)
    name_of_classes()
    both = BIRDS.replace('"s3://aviary"', '"s3://nest"')
    world.configure(head=both.replace("[store]", '[store]\nwas = ["s3://aviary"]'))
    assert name_of_classes() == {"tit", "wren"}
