"""How far a new project is on its way to the first number, and what to do next."""

from dataclasses import dataclass

from labelloop.core.queue import Purpose
from labelloop.core.task import TaskState
from labelloop.views.service import ServiceState
from labelloop.views.status import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage of setting up, by its name. `remedy`: what to do for it, if it isn't done by itself."""

    name: str
    title: str
    done: bool
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The stages in their order, and the verbs that fail now."""

    stages: tuple[Stage, ...]
    failing: tuple[str, ...]

    @property
    def is_new(self) -> bool:
        """Whether a stage is still ahead."""
        return not all(s.done for s in self.stages)

    @property
    def next(self) -> Stage | None:
        """The first stage that isn't done."""
        return next((s for s in self.stages if not s.done), None)


def progress(status: Status, service: ServiceState) -> Progress:
    """How far the project is."""
    asked = [n for q in status.queues for state, n in q.by_state.items() if state not in _AT_HOME]
    labelled = sum(q.n_resolved for q in status.queues if q.purpose is Purpose.EVALUATION)
    return Progress(
        stages=(
            Stage(
                name="connect",
                title="Connect to the predictions",
                done=status.indexed,
                remedy="Run `labelloop doctor`: it examines every connection, right and address, and says "
                "what to mend. Then `labelloop index` reads the predictions; the service does so by itself.",
            ),
            Stage(
                name="draw",
                title="Draw the first round",
                done=status.last_round is not None,
                remedy="The first round is drawn as soon as predictions are there. `labelloop run` draws it "
                "now; so does the service.",
            ),
            Stage(
                name="send",
                title="Send the samples to people",
                done=any(asked),
                remedy="`labelloop send` sends what was drawn, or says why it can't; the service does so by "
                "itself, outside quiet hours.",
            ),
            Stage(
                name="label",
                title="Label the first samples",
                done=labelled > 0,
                remedy="Open the tasks where people label, and answer some. Their answers arrive here within "
                "seconds while the service runs.",
            ),
        ),
        failing=tuple(v.verb for v in service.verbs if v.n_failures),
    )


_AT_HOME = (TaskState.DRAWN, TaskState.SENDING)
