"""The content hash of a manifest whose rows come in columns, a batch at a time."""

from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

HASHED = ("sample_id", "content_hash", "label", "origin")
"""The columns that the hash is made of."""


class ContentHash:
    """SHA-256 over the (sample_id, content_hash, label, origin) of rows, which the caller sorts.

    Each field is preceded by its length in eight bytes, so that no two lists of rows share a hash
    because of where a field ends. It doesn't depend on the batches in which the rows come.
    """

    def __init__(self) -> None:
        self._digest = sha256()

    def update(self, batch: "pa.RecordBatch") -> None:
        """Take in the rows of a batch."""
        import pyarrow as pa
        import pyarrow.compute as pc

        parts = []
        for name in HASHED:
            text = batch.column(name).cast(pa.large_binary())
            lengths = pc.binary_length(text).to_numpy(zero_copy_only=False).astype(">u8")
            eight = [None, pa.py_buffer(np.ascontiguousarray(lengths))]
            length = pa.FixedSizeBinaryArray.from_buffers(pa.binary(8), len(text), eight)
            parts += [length.cast(pa.large_binary()), text]
        rows = pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary()))
        _, ends, data = rows.buffers()
        if data is not None:  # the rows lie behind each other there
            held = np.frombuffer(ends, dtype=np.int64)[rows.offset : rows.offset + len(rows) + 1]
            self._digest.update(memoryview(data)[held[0] : held[-1]])

    def hexdigest(self) -> str:
        """64 hex digits."""
        return self._digest.hexdigest()
