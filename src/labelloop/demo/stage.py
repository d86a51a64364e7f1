"""What the days of the demonstration share: the servers, the digits, the first model."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from labelloop.demo import digits, project
from labelloop.demo.annotators import PEOPLE, Annotators
from labelloop.demo.clock import MovedClock
from labelloop.demo.digits import Split
from labelloop.demo.model import Model, train
from labelloop.demo.page_people import PagePeople
from labelloop.demo.project import BLIND_BUCKET, BUCKET
from labelloop.demo.screen import Screen
from labelloop.demo.servers import LabelStudio, SeaweedFS, template_home
from labelloop.demo.traffic import OPENS, Bucket, Served

N_FIRST = 400
N_PER_DAY = (1300, 1300, 1300)
N_DAY_AFTER = 700
DRIFTS_FROM = 1  # the second day, counted from zero

CONFIG = "labelloop.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the person who started the demonstration chose.

    today
        the three days are the last ones before it
    quick
        people label on labelloop's own page, so that no Label Studio has to start
    verb_said
        shows one verb's outcome of a `labelloop run`
    """

    folder: Path
    today: date
    seed: int
    stay: bool
    annotate_yourself: bool
    quick: bool = False
    verb_said: Callable[[str, object], None]


@dataclass(slots=True)
class Stage:
    """What the days share.

    studio, booted
        Label Studio, and when it has booted; None where people label on the labelling page
    people
        those who label; None where the person who started it does
    """

    screen: Screen
    options: Options
    clock: MovedClock
    store: SeaweedFS
    bucket: Bucket
    studio: LabelStudio | None
    booted: "Future[None] | None"
    split: Split
    first_model: Model
    served: dict[str, Served] = field(default_factory=dict)
    truth: dict[bytes, str] = field(default_factory=dict)
    late: list[Served] = field(default_factory=list)
    people: Annotators | PagePeople | None = None


@contextmanager
def set_up(options: Options, screen: Screen) -> Iterator[Stage]:
    """The servers, the digits and the first model; Label Studio goes on booting meanwhile."""
    with ExitStack() as stack:
        studio, booted = (None, None) if options.quick else _label_studio(stack, options, screen)
        with screen.step("SeaweedFS, the production bucket"):
            store = stack.enter_context(SeaweedFS(options.folder / "seaweedfs"))
            client = stack.enter_context(closing(store.client()))
            for name in (BUCKET, BLIND_BUCKET):
                client.create_bucket(Bucket=name)
        with screen.step(f"first model: a forest of random trees, trained on {N_FIRST} digits"):
            split = _split(options.seed)
            first_model = train("forest-1", split.first)
        yield Stage(
            screen=screen,
            options=options,
            clock=MovedClock(datetime.combine(days_of(options)[0], OPENS, UTC)),
            store=store,
            bucket=Bucket(BUCKET, client),
            studio=studio,
            booted=booted,
            split=split,
            first_model=first_model,
        )


def _label_studio(
    stack: ExitStack, options: Options, screen: Screen
) -> "tuple[LabelStudio, Future[None]]":
    """A Label Studio that begins to boot."""
    studio = LabelStudio(
        options.folder / "label-studio",
        username="demo@example.com",
        password="labelloop-demo",  # noqa: S106  for 127.0.0.1 alone
        template=template_home(),
    )
    # Entered first and so left last: stopping the server ends a boot that is still under way.
    pool = stack.enter_context(ThreadPoolExecutor(1))
    stack.enter_context(studio)
    return studio, pool.submit(_boot, studio, screen)


def _boot(studio: LabelStudio, screen: Screen) -> None:
    with screen.step("Label Studio") as progress:
        # Its seconds are on the screen already.
        studio.wait_ready(
            lambda what, _s, _: progress(what.removeprefix("Label Studio: "), 0, None)
        )


def _split(seed: int) -> Split:
    """The first model's digits, three days of traffic and the day after, drifted where they are."""
    plain = digits.split(
        digits.load(), n_first=N_FIRST, n_per_day=(*N_PER_DAY, N_DAY_AFTER), seed=seed
    )
    days = [digits.drifted(d) if i >= DRIFTS_FROM else d for i, d in enumerate(plain.days)]
    return Split(first=plain.first, days=tuple(days))


def days_of(options: Options) -> list[date]:
    """The simulated days."""
    return [options.today - timedelta(days=back) for back in range(len(N_PER_DAY), 0, -1)]


def write_config(stage: Stage, budget: int) -> None:
    """Write labelloop.toml with the budget of blind labels a day.

    Label Studio must be ready where there is one, for its token stands there.
    """
    studio = stage.studio
    project.write(
        stage.options.folder / CONFIG,
        store=stage.store.access,
        label_studio=None if studio is None else (studio.url, studio.personal_access_token()),
        referees=[] if stage.people is None else [person.email for person in PEOPLE],
        budget=budget,
    )
