"""In-memory adapters of the ports: public, and held to the same contract suite as the real ones."""

from labelloop.testing.annotator import MemoryAnnotator
from labelloop.testing.desk import MemoryDesk
from labelloop.testing.log import MemoryLog
from labelloop.testing.notifications import MemoryNotifications
from labelloop.testing.receiver import MemoryReceiver
from labelloop.testing.source import MemorySource
from labelloop.testing.store import MemoryStore

__all__ = [
    "MemoryAnnotator",
    "MemoryDesk",
    "MemoryLog",
    "MemoryNotifications",
    "MemoryReceiver",
    "MemorySource",
    "MemoryStore",
]
