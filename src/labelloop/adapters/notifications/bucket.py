"""What a bucket's notifications name, looked up in the bucket."""

from collections.abc import Iterator

from labelloop.adapters.notifications.files import NotificationFiles
from labelloop.adapters.s3.store import S3Store
from labelloop.ports.notifications import Notified


class BucketNotifications:
    """The objects of `store` that the notifications in `files` name, as they stand now."""

    def __init__(self, files: NotificationFiles, store: S3Store) -> None:
        self._files = files
        self._store = store

    def since(self, position: str | None) -> Iterator[Notified]:
        """What was named after `position`; everything for None.

        Raises:
            StoreDenied: the file or folder isn't there, or can't be read.
        """
        for named in self._files.since(position):
            yield Notified(
                objects=self._store.found(named.keys),
                n_unreadable=named.n_unreadable,
                position=named.position,
            )

    def end(self) -> str:
        """The position after all that is there now."""
        return self._files.end()
