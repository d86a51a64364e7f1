"""send: drawn tasks go to the annotator, each exactly once; what open tasks show and ask is kept right."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from labelloop.core import due
from labelloop.core.queue import Queue
from labelloop.errors import ConfigError, LabelloopError, StoreError
from labelloop.ledger import Ledger, cursors, tasks
from labelloop.ledger.tasks import SendableTask
from labelloop.ports.annotator import Annotator, BucketAccess
from labelloop.ports.clock import Clock, Progress
from labelloop.ports.store import Store
from labelloop.steps.purpose import keep_input_kind, refuse_changed_purpose
from labelloop.steps.send.batches import Batches
from labelloop.steps.send.context import SendContext
from labelloop.steps.send.doubts import settle_earlier_doubts
from labelloop.steps.send.inputs import Inputs
from labelloop.steps.send.links import Links
from labelloop.steps.send.people import ask_people
from labelloop.steps.send.projects import Projects
from labelloop.steps.send.texts import Texts

_SIGNED_BY = "signed by"


@dataclass(frozen=True, slots=True)
class Sent:
    """What one `send` did.

    `n_found` were there already, from a request whose answer was lost or a ledger that was;
    `n_asked_again` are offered to one more person, as the answers so far don't settle them.
    """

    n_sent: int
    n_found: int
    n_unavailable: int
    n_refreshed: int
    n_copies_removed: int
    n_asked_again: int


class Send:
    """Sends the tasks of all queues."""

    def __init__(
        self,
        ledger: Ledger,
        store: Store,
        annotator: Annotator,
        queues: Sequence[Queue],
        *,
        ledger_id: str,
        project_name: str,
        classes: Sequence[str],
        listed: bool,
        presign_life: timedelta,
        blind_uri: str | None,
        bucket_access: Callable[[str | None], BucketAccess],
        signed_by: str,
        clock: Clock,
        progress: Progress,
        texts: Texts | None = None,
        timezone: str = "UTC",
        paused: Collection[str] = (),
        gateway_url: str | None = None,
    ) -> None:
        """How links are made, and what waits:

        listed
            whether samples come from the store's listing, and have its content hashes
        bucket_access
            how the annotator opens the bucket of a uri, or of the inputs for None
        signed_by
            what tells one signer and address of links from another; nothing secret
        timezone
            where the days of `Queue.per_day` begin
        paused
            the queues to which nothing new is sent
        gateway_url
            where browsers reach the gateway, for queues whose images it shows
        """
        self._ledger = ledger
        self._store = store
        self._annotator = annotator
        self._queues = queues
        self._ledger_id = ledger_id
        self._project_name = project_name
        self._classes = classes
        self._listed = listed
        self._life = presign_life
        self._blind_uri = blind_uri
        self._access = bucket_access
        self._signed_by = signed_by
        self._clock = clock
        self._progress = progress
        self._texts = texts
        self._timezone = timezone
        self._paused = frozenset(paused)
        self._gateway_url = gateway_url

    def run(self, *, refresh_all: bool = False, quiet: bool = False) -> Sent:
        """Send what is drawn, renew image URLs before they lapse, remove copies nobody needs.

        `refresh_all` renews the URL of every open task; so does another signer or address of links.
        `quiet`: nobody gets a new task.
        """
        with self._ledger.lease("send") as lease:
            context = SendContext(
                ledger=self._ledger,
                lease=lease,
                annotator=self._annotator,
                clock=self._clock,
                progress=self._progress,
            )
            inputs = Inputs(
                context,
                self._store,
                self._texts,
                listed=self._listed,
                blind_uri=self._blind_uri,
                presign_life=self._life,
                gateway_url=self._gateway_url,
            )
            projects = Projects(
                context,
                ledger_id=self._ledger_id,
                project_name=self._project_name,
                classes=self._classes,
                kind=inputs.kind,
                blind_uri=self._blind_uri,
                bucket_access=self._access,
            )
            links = Links(context, self._store, projects, inputs, presign_life=self._life)
            sent, refusal = self._run(
                context, inputs, projects, links, refresh_all=refresh_all, quiet=quiet
            )
        for trouble in (refusal, *projects.troubles.values(), inputs.waiting_for_a_server()):
            if trouble is not None:
                raise trouble
        return sent

    def _run(
        self,
        context: SendContext,
        inputs: Inputs,
        projects: Projects,
        links: Links,
        *,
        refresh_all: bool,
        quiet: bool,
    ) -> tuple[Sent, LabelloopError | None]:
        """What was done, and why blind queues wait, where they do."""
        with context.read() as tx:
            refuse_changed_purpose(tx, self._queues)
            signed_by = cursors.get(tx, _SIGNED_BY)
        with context.write() as tx:
            keep_input_kind(tx, inputs.kind)
        projects.keep_in_step()
        n_found = settle_earlier_doubts(context)
        everything = refresh_all or signed_by not in {None, self._signed_by}
        lapsing = links.lapsing(everything=everything)
        if not everything:  # links of the gateway don't lapse, and need no copies
            lasting = {q.name for q in self._queues if q.images == "gateway"}
            lapsing = [each for each in lapsing if each.task.queue not in lasting]
        refusal = self._blind_refusal(context, inputs, lapsing)
        served = [
            q for q in self._queues if refusal is None or not (q.blind and q.images != "gateway")
        ]
        today = due.day_began_at(self._clock.now(), self._timezone)
        batches = Batches(context, projects, inputs, day_began_at=today)
        for queue in served:
            if not quiet and queue.name not in {*projects.troubles, *self._paused}:
                batches.send(queue)
        n_refreshed = links.renew(served, lapsing)
        if refusal is None and signed_by != self._signed_by:
            with context.write() as tx:
                cursors.put(tx, _SIGNED_BY, self._signed_by)
        sent = Sent(
            n_sent=batches.n_sent,
            n_found=n_found + batches.n_found,
            n_unavailable=batches.n_unavailable + links.n_unavailable,
            n_refreshed=n_refreshed,
            n_asked_again=0 if quiet else ask_people(context),
            n_copies_removed=links.remove_copies(),
        )
        return sent, refusal

    def _blind_refusal(
        self, context: SendContext, inputs: Inputs, lapsing: Sequence[SendableTask]
    ) -> LabelloopError | None:
        """Why blind tasks can't be sent or renewed: there is no place for their copies.

        The other queues are sent all the same. A key may hold the answer: copies are no luxury.
        """
        if inputs.kind == "text" or self._store.inline:
            return None
        to_renew = {each.task.queue for each in lapsing}
        with context.read() as tx:
            waiting = [
                q.name
                for q in self._queues
                if q.blind
                and q.images != "gateway"
                and (q.name in to_renew or tasks.to_send(tx, q.name, 1))
            ]
        if not waiting:
            return None
        if self._blind_uri is None:
            return ConfigError(
                f"[store] blind_uri is not set, and the blind queue {waiting[0]!r} needs it: object "
                "keys often contain the predicted class, so annotators see copies with random names",
                remedy='add blind_uri = "s3://a-writable-bucket" to [store]; if the inputs are in a '
                "folder, give a folder",
            )
        try:
            self._store.check_writable(self._blind_uri)
        except StoreError as exc:
            return exc
        return None
