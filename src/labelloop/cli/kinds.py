"""Every document that a command prints with --json, by its kind, and the type of its result."""

from collections.abc import Mapping
from typing import Any

from labelloop.cli.compare import SamplesWritten
from labelloop.cli.doctor import PageWritten
from labelloop.cli.init import Initialized
from labelloop.core.dataset import DatasetVersion
from labelloop.core.upkeep import Upkeep
from labelloop.doctor.finding import Diagnosis
from labelloop.errors import LabelloopError
from labelloop.exports.exported import Exported
from labelloop.ledger.accounts import Account
from labelloop.ledger.move import Moved
from labelloop.ledger.rejects import RejectedRow
from labelloop.ledger.snapshots import Snapshot
from labelloop.loop import Ran
from labelloop.measuring.measured import Measured
from labelloop.measuring.people import Person
from labelloop.steps.backup import BackedUp
from labelloop.steps.build.build import Built
from labelloop.steps.collect.settling import Settled
from labelloop.steps.collect.tally import Collected
from labelloop.steps.compare.compare import Compared
from labelloop.steps.forget.forget import Forgotten
from labelloop.steps.index.indexed import Indexed
from labelloop.steps.notify.notify import Notified, Tried, Unheard
from labelloop.steps.rebuild.rebuild import Rebuilt
from labelloop.steps.select.select import Selected
from labelloop.steps.send.send import Sent
from labelloop.steps.suspects import Suspects
from labelloop.views.accounts import TokenMade
from labelloop.views.dataset import DatasetContents
from labelloop.views.dataset_diff import DatasetDiff
from labelloop.views.plan import Plan
from labelloop.views.quality import Quality
from labelloop.views.snapshots import SnapshotMade
from labelloop.views.status import Status, Tie, Wait

KINDS: Mapping[str, tuple[str, Any]] = {
    "run": ("run", Ran),
    "index": ("index", Indexed),
    "collect": ("collect", Collected),
    "select": ("select", Selected),
    "send": ("send", Sent),
    "measure": ("measure", Measured),
    "people": ("measure --people", list[Person]),
    "build": ("build", Built),
    "status": ("status", Status),
    "rejected": ("status --rejected", list[RejectedRow]),
    "ties": ("status --ties", list[Tie]),
    "settled": ("people settle", Settled),
    "waiting": ("status --waiting", list[Wait]),
    "skipped": ("status --skipped", list[Wait]),
    "report": ("report", Quality),
    "snapshot": ("snapshot make", SnapshotMade),
    "snapshots": ("snapshot list", list[Snapshot]),
    "plan": ("plan", Plan),
    "compare": ("compare", Compared),
    "samples": ("compare --write-samples", SamplesWritten),
    "notify": ("notify --deliver", Notified),
    "unheard": ("notify", list[Unheard]),
    "notify-test": ("notify --test", list[Tried]),
    "datasets": ("datasets list", list[DatasetVersion]),
    "dataset": ("datasets show", DatasetContents),
    "diff": ("datasets diff", DatasetDiff),
    "suspects": ("datasets suspects", Suspects),
    "export": ("datasets export", Exported),
    "forget": ("forget", Forgotten),
    "maintain": ("log maintain", Upkeep),
    "backup": ("ledger backup", BackedUp),
    "restore": ("ledger restore", BackedUp),
    "migrate": ("ledger migrate", list[Moved]),
    "rebuild": ("ledger rebuild", Rebuilt),
    "init": ("init", Initialized),
    "doctor": ("doctor", Diagnosis),
    "page": ("doctor --page", PageWritten),
    "token": ("people add", TokenMade),
    "accounts": ("people list", list[Account]),
    "error": ("any command that fails", LabelloopError),
}
"""By kind: the command that prints it, and the type of its result."""
