"""All of labelloop.toml, and how its sections fit together."""

from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, model_validator

from labelloop.core.answers import Answers
from labelloop.core.costs import Costs
from labelloop.core.queue import Purpose, Queue
from labelloop.errors import ArgumentError
from labelloop.settings.costs import CostSettings
from labelloop.settings.gate import GateSettings
from labelloop.settings.label_studio import LabelStudioSettings
from labelloop.settings.labelling_page import LabellingPageSettings
from labelloop.settings.mlflow import MlflowSettings
from labelloop.settings.notify import NotifySettings
from labelloop.settings.people import PeopleSettings
from labelloop.settings.project import ClassSettings, InputSettings, ProjectSettings
from labelloop.settings.queue import QueueSettings
from labelloop.settings.rounds import RoundSettings
from labelloop.settings.service import ServiceSettings
from labelloop.settings.source import SourceSettings
from labelloop.settings.state import EngineSettings, StateSettings
from labelloop.settings.store import StoreSettings
from labelloop.settings.training import TrainingSettings
from labelloop.settings.values import Section, inside, when_complete


class Settings(Section):
    """All of labelloop.toml."""

    project: ProjectSettings
    renamed_classes: list[ClassSettings] = Field(default_factory=list, alias="class")
    input: InputSettings = Field(default_factory=lambda: InputSettings())
    store: StoreSettings
    source: SourceSettings | None = None
    label_studio: LabelStudioSettings | None = None
    labelling_page: LabellingPageSettings | None = None
    state: StateSettings = Field(default_factory=lambda: StateSettings())
    engine: EngineSettings = Field(default_factory=lambda: EngineSettings())
    rounds: RoundSettings = Field(default_factory=lambda: RoundSettings())
    gate: GateSettings = Field(default_factory=lambda: GateSettings())
    queue: list[QueueSettings] = Field(min_length=1)
    people: PeopleSettings = Field(default_factory=lambda: PeopleSettings())
    training: TrainingSettings = Field(default_factory=lambda: TrainingSettings())
    costs: CostSettings | None = None
    service: ServiceSettings = Field(default_factory=lambda: ServiceSettings())

    mlflow: MlflowSettings | None = None
    notify: list[NotifySettings] = Field(default_factory=list)
    _home: Path = PrivateAttr(default=Path())

    def at(self, folder: Path) -> "Settings":
        """These settings, as those of a file in `folder`."""
        self._home = folder
        return self

    @property
    def home(self) -> Path:
        """The folder of the settings' file."""
        return self._home

    @model_validator(mode="before")
    @classmethod
    def _classes_of_their_own(cls, raw: Any) -> Any:
        """[project] with the classes that stand in tables of their own."""
        if not isinstance(raw, dict) or not isinstance(raw.get("class"), list):
            return raw
        project = raw.get("project")
        if not isinstance(project, dict):
            return raw
        if "classes" in project:
            raise ValueError("the classes stand in [project] and as [[class]]: write them once")
        names = [c["name"] for c in raw["class"] if isinstance(c, dict) and "name" in c]
        return {**raw, "project": {**project, "classes": names}}

    @model_validator(mode="after")
    def _old_names_are_old(self) -> "Settings":
        old = [name for c in self.renamed_classes for name in c.was]
        twice = sorted({name for name in old if old.count(name) > 1})
        if twice:
            raise ValueError(f"class {twice[0]!r} is the old name of two classes: expected one")
        live = sorted(self.answers().kinds.keys() & set(old))
        if live:
            raise ValueError(
                f"class {live[0]!r} is an answer and an old name: take it out of one of the two"
            )
        return self

    @model_validator(mode="after")
    def _costs_fit(self) -> "Settings":
        if self.costs is not None:
            self.costs.refuse_unknown(self.project.classes, self.project.extra_answers)
        return self

    @model_validator(mode="after")
    def _queues_fit_together(self) -> "Settings":
        names = [q.name for q in self.queue]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ArgumentError(
                f"queue {twice[0]!r} is there twice", remedy="rename one of the two queues"
            )
        if sum(q.purpose == "evaluation" for q in self.queue) > 1:
            raise ValueError("more than one evaluation queue: a project has one at most")
        return self

    @model_validator(mode="after")
    def _people_can_answer(self) -> "Settings":
        if self.label_studio is None and self.labelling_page is None:
            raise ValueError(
                "label_studio is missing, and so is labelling_page: add [label_studio] for Label Studio, "
                "or [labelling_page] for labelloop's own page; it may be empty"
            )
        for q in self.queue:
            name = q.annotator and q.annotator.replace("-", "_")
            if name and getattr(self, name) is None:
                raise ValueError(f"queue {q.name!r} names {q.annotator!r}, and [{name}] is missing")
            if self.is_on_page(q) and "images" in q.model_fields_set:
                raise ValueError(
                    f"queue {q.name!r}: images is for Label Studio; the labelling page shows images "
                    "by itself: leave it out"
                )
        return self

    def is_on_page(self, queue: QueueSettings) -> bool:
        """Whether people label a queue on the labelling page."""
        return (queue.annotator or self._usual_annotator) == "labelling-page"

    @property
    def _usual_annotator(self) -> str:
        return "labelling-page" if self.label_studio is None else "label-studio"

    def on_page(self) -> frozenset[str]:
        """The names of the queues that people label on the labelling page."""
        return frozenset(q.name for q in self.queue if self.is_on_page(q))

    def annotator_url(self) -> str:
        """Where people open the annotator: Label Studio where there is one, else the labelling page."""
        if self.label_studio is not None:
            return self.label_studio.public_url or self.label_studio.url
        return self.service.base_url or "http://127.0.0.1:8500"

    @when_complete
    def _receivers_are_named_once(self) -> None:
        urls = [n.url.get_secret_value() for n in self.notify]
        if len(set(urls)) < len(urls):
            raise ValueError(
                "two [[notify]] have one url: write all that it hears of into one `on`"
            )

    @when_complete
    def _copies_lie_apart(self) -> None:
        for place in self.store.places():
            if self.store.blind_uri and inside(self.store.blind_uri, place):
                raise ValueError(
                    f"store.blind_uri {self.store.blind_uri!r} lies inside store.uri "
                    f"{place!r}: copies would be indexed as inputs; use another bucket or prefix"
                )

    @when_complete
    def _source_fits(self) -> None:
        if self.source and self.source.columns.text and self.input.kind != "text":
            raise ValueError('source.columns.text is for [input] kind = "text"')
        for name in self.source.class_order if self.source else ():
            if name not in self.project.classes and name not in self.answers().renamed:
                raise ValueError(f"source.class_order: {name!r} is none of the classes")

    @when_complete
    def _label_studio_can_sign(self) -> None:
        for q in self.queue:
            if q.images == "label-studio" and self.input.kind == "text":
                raise ValueError(f"queue {q.name!r}: images is for images, and inputs are texts")
            if q.images == "label-studio" and self.store.is_folder:
                raise ValueError(
                    f"queue {q.name!r}: images = 'label-studio' needs a bucket, and the inputs lie in "
                    "a folder; docs/how-to/folder.md shows how Label Studio serves one"
                )
            if q.images == "label-studio" and self.store.access_key is None:
                raise ValueError(
                    f"queue {q.name!r}: images = 'label-studio' needs access_key and secret_key in "
                    "[store], as Label Studio is given them"
                )

    @when_complete
    def _gateway_has_an_address(self) -> None:
        for q in self.queue:
            if q.images == "gateway" and self.input.kind == "text":
                raise ValueError(f"queue {q.name!r}: images is for images, and inputs are texts")
            if q.images == "gateway" and self.service.base_url is None:
                raise ValueError(
                    f"queue {q.name!r}: images = 'gateway' needs [service] public_url, where browsers "
                    "reach `labelloop serve`"
                )

    def signed_by(self) -> str:
        """What tells one signer and address of links from another; nothing secret."""
        signer = self.store.signed_by()
        if any(q.images == "gateway" for q in self.queue):
            signer += f" {self.service.base_url}"
        return signer

    def require_variables(self) -> None:
        """Return if every variable that labelloop.toml names is set.

        Raises:
            ConfigError: one isn't.
        """
        for error in self.unset():
            raise error

    def answers(self) -> Answers:
        """What people may answer."""
        return Answers(
            classes=self.project.classes,
            extra=self.project.extra_answers,
            renamed={old: c.name for c in self.renamed_classes for old in c.was},
        )

    def _images(self, queue: QueueSettings) -> str:
        """How images of a queue reach people's browsers."""
        if self.is_on_page(queue) and self.input.kind == "image":
            return "gateway"
        return "annotator" if queue.images == "label-studio" else queue.images

    def cost_weights(self) -> Costs | None:
        """What errors cost; None where the settings don't say."""
        if self.costs is None:
            return None
        pairs = {(p.label, p.predicted_class): p.cost for p in self.costs.pair}
        return Costs(default=self.costs.default, pairs=pairs)

    def queues(self, purpose: Purpose | None = None) -> tuple[Queue, ...]:
        """The queues, or those of one purpose; evaluation first, else in the order of the file."""
        from labelloop.core.where import Where

        made = [
            Queue(
                name=q.name,
                purpose=Purpose(q.purpose),
                where=Where.parse(q.where) if q.where is not None else None,
                budget=q.budget,
                show=tuple(q.show),
                draw=q.draw if q.purpose == "evaluation" else "uniform",
                annotators=q.annotators_per_sample,
                overlap=q.overlap,
                images=self._images(q),
                second_look=q.second_look,
                per_day=q.budget_per_day,
                pick=q.pick,
                quotas=q.quotas(),
                prefill=q.prefill,
                near_duplicates=q.near_duplicates,
                embed=q.embed,
            )
            for q in self.queue
            if purpose is None or q.purpose == purpose
        ]
        return tuple(sorted(made, key=lambda q: q.purpose is not Purpose.EVALUATION))
