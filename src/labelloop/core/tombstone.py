"""The keyed hash that replaces the id of a forgotten sample."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b


def sample_hash(sample_id: str, salt: bytes) -> str:
    """The keyed hash of a forgotten sample: 32 hex digits; it takes the key and the id to recompute it.

    >>> sample_hash("a.png", b"salt") == sample_hash("a.png", b"another")
    False
    """
    data = sample_id.encode("utf-8", "surrogatepass")
    return blake2b(data, key=salt, digest_size=16, person=b"forget").hexdigest()


@dataclass(frozen=True, slots=True)
class Tombstones:
    """The hashes of all forgotten samples, and the key they were made with."""

    salt: bytes
    hashes: frozenset[str]

    def among(self, sample_ids: Iterable[str]) -> frozenset[str]:
        """Those of `sample_ids` that were forgotten.

        >>> stones = Tombstones(b"salt", frozenset({sample_hash("a", b"salt")}))
        >>> stones.among(["a", "b"])
        frozenset({'a'})
        """
        if not self.hashes:
            return frozenset()
        return frozenset(s for s in sample_ids if sample_hash(s, self.salt) in self.hashes)
