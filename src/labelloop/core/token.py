"""The identity of a task outside labelloop, and the marker of its project."""

from hashlib import blake2b


def task_key(ledger_id: str, purpose: str, sample_id: str, *, salt: bytes, look: int = 0) -> str:
    """The only identity that an annotator sees: 32 hex digits that tell nothing of the sample.

    It is keyed with the log's salt: without it, a guess at the sample can't be checked. `look` counts the
    looks at one sample: 0 for the first answer, 1 for a second look, and so on.

    >>> task_key("l1", "evaluation", "a.png", salt=b"s") == task_key(
    ...     "l1", "training", "a.png", salt=b"s"
    ... )
    False
    """
    return _digest((ledger_id, purpose, sample_id, str(look)), salt)


def unkeyed_task_key(ledger_id: str, purpose: str, sample_id: str) -> str:
    """The key of a task from the time before keys were keyed: such tasks keep theirs.

    >>> unkeyed_task_key("l1", "evaluation", "a.png")
    '3d59116413c605a322092bff46acd42e'
    """
    return _digest((ledger_id, purpose, sample_id), b"")


def receiver_key(url: str, *, salt: bytes) -> str:
    """What the ledger calls a receiver of events: 32 hex digits that don't tell its URL.

    >>> receiver_key("https://a.example", salt=b"s") == receiver_key("https://b.example", salt=b"s")
    False
    """
    return _digest(("receiver", url), salt)


def webhook_secret(ledger_id: str, *, salt: bytes) -> str:
    """What an annotator sends along when it calls, so that nobody else can have us look for answers.

    >>> len(webhook_secret("l1", salt=b"s"))
    32
    """
    return _digest(("webhook", ledger_id), salt)


def form_secret(ledger_id: str, *, salt: bytes) -> str:
    """What the proofs are made with that a visitor sent a form.

    >>> form_secret("l1", salt=b"s") == webhook_secret("l1", salt=b"s")
    False
    """
    return _digest(("form", ledger_id), salt)


def _digest(parts: tuple[str, ...], salt: bytes) -> str:
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=16, key=salt).hexdigest()


def project_marker(ledger_id: str, queue: str) -> str:
    """What a project's description carries, so that it is found again.

    >>> project_marker("l1", "accuracy")
    'labelloop:l1/accuracy'
    """
    return f"labelloop:{ledger_id}/{queue}"
