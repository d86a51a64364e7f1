"""A project that looks like one of months: many classes and rounds, images, mistakes, ties, a candidate."""

import random
from pathlib import Path

from PIL import Image, ImageDraw
from tests.world import HEAD, World

from labelloop.core.task import TaskState

_COLOURS = ("#b33", "#3a3", "#33b", "#a70", "#088", "#808")
_QUEUES = """
[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = 40

[[queue]]
name = "pairs"
purpose = "training"
where = "confidence < 0.7"
budget = 8
annotators_per_sample = 2
show = ["predicted_class"]
"""


def class_names(n: int) -> list[str]:
    """So many classes."""
    return [f"{'shape' if i % 3 else 'a class with a long name'} {i + 1:02d}" for i in range(n)]


def busy(folder: Path, *, n_classes: int, rounds: int) -> World:
    """A project of so many rounds. The last class is confused with the first most often."""
    names = class_names(n_classes)
    head = HEAD.replace('"cat", "dog"', ", ".join(f'"{name}"' for name in names))
    world = World(folder, _QUEUES, head=head)
    rng = random.Random(3)
    truth: dict[str, str] = {}
    for number in range(rounds):
        for i in range(60):
            true = rng.choice(names)
            slips = 0.5 if true == names[-1] else 0.1
            said = rng.choice((names[0], *names)) if rng.random() < slips else true
            key = f"{number:03d}/{i:03d}.png"
            truth[key] = true
            world.put(
                key,
                picture(names.index(true), rng),
                predicted_class=said,
                confidence=f"{rng.uniform(0.5, 1):.3f}",
                model=f"v{1 + number * 3 // rounds}",
                **{"shadow:next": true if rng.random() < 0.97 else said},
            )
        world.put(f"{number:03d}/bad.png", predicted_class="no such class")
        world.loop.run()
        if number < rounds - 1:
            _answer(world, truth, rng)
            world.loop.run()
            world.clock.pass_(days=1)
    world.loop.collect()
    world.loop.compare_shadow("next", gate=True)
    world.clock.pass_(hours=5)
    world.loop.measure()
    world.loop.close()
    return world


def _answer(world: World, truth: dict[str, str], rng: random.Random) -> None:
    """Two people answer; now and then they disagree, or skip."""
    for task in (*world.tasks().values(), *world.looks().values()):
        if task.state is not TaskState.SENT or task.remote_id is None:
            continue
        true = truth[task.sample_id]
        for by in ("ana", "ben")[: task.answers_wanted]:
            other = rng.choice(list(truth.values()))
            if rng.random() < 0.02:
                world.annotator.skip(task.remote_id, by=by)
            else:
                said = other if by == "ben" and rng.random() < 0.3 else true
                world.annotator.answer(task.remote_id, said, by=by)
        world.clock.pass_(seconds=4)


def picture(kind: int, rng: random.Random) -> bytes:
    """A shape whose corners and colour tell its kind."""
    import io

    drawn = Image.new("RGB", (320, 240), "#eee")
    centre = rng.randrange(110, 210), rng.randrange(100, 140), rng.randrange(60, 95)
    ImageDraw.Draw(drawn).regular_polygon(
        centre, 3 + kind // 6, rotation=rng.randrange(90), fill=_COLOURS[kind % 6]
    )
    made = io.BytesIO()
    drawn.save(made, "PNG")
    return made.getvalue()
