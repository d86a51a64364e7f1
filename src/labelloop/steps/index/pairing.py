"""Requests and their responses, logged as rows of their own: which belong together, in any order."""

from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from labelloop.ledger.waiting_rows import WaitingRow
from labelloop.ports.source import BEGINS, EXPECTED, PAIR, SourceFile, SourceRows

HELD_BYTES = 256 << 20
"""So much of what was asked is held in memory; of the rest, the ledger knows the place."""


class _Row(NamedTuple):
    """A row of a batch: which batch, which row of it, and where that stands."""

    batch: Any
    i: int
    file: SourceFile
    number: int


@dataclass(frozen=True, slots=True)
class WholeRows:
    """Rows that are complete, and the file that their numbers are of."""

    file_uri: str
    rows: SourceRows


class Pairing:
    """Joins each answer to what was asked. A question may have several answers: of Langfuse, scores.

    A whole row has the place of its answer.
    """

    def __init__(self) -> None:
        self._asked: dict[str, _Row] = {}
        self._held: OrderedDict[int, tuple[int, list[str]]] = OrderedDict()
        self._answers: defaultdict[str, list[_Row]] = defaultdict(list)
        self._unpaired: dict[str, dict[tuple[str, bool], WaitingRow]] = {}
        self._done: set[str] = set()
        self._newly_done: dict[str, str] = {}

    def take(
        self,
        file: SourceFile,
        rows: SourceRows,
        *,
        now: datetime,
        only: Collection[str] | None = None,
    ) -> Iterator[WholeRows]:
        """The rows that are whole now; `only`: the pairs that this is about, of a file read again."""
        names = rows.batch.schema.names
        pairs = rows.batch.column(names.index(PAIR)).to_pylist()
        begins = rows.batch.column(names.index(BEGINS)).to_pylist()
        expected = rows.batch.column(names.index(EXPECTED)).to_pylist()
        unpaired = self._unpaired.setdefault(file.uri, {})
        alone = [i for i, pair in enumerate(pairs) if pair is None]
        ready: list[tuple[_Row, _Row]] = []
        kept: list[str] = []
        for i, (pair, begin) in enumerate(zip(pairs, begins, strict=True)):
            if pair is None or (only is not None and pair not in only):
                continue
            row = _Row(rows.batch, i, file, rows.numbers[i])
            if begin and pair not in self._asked:
                self._asked[pair] = row
                kept.append(pair)
                ready += [(answer, row) for answer in self._answers.pop(pair, ())]
            elif not begin and pair in self._asked:
                ready.append((row, self._asked[pair]))
            elif not begin:
                self._answers[pair].append(row)
            if only is None and pair not in self._done:
                unpaired[pair, begin] = WaitingRow(
                    pair=pair,
                    begins=begin,
                    file=file.uri,
                    number=row.number,
                    expected=expected[i],
                    seen_at=file.changed_at or now,
                )
        if kept:
            self._held[id(rows.batch)] = (int(rows.batch.nbytes), kept)
        fresh = set(map(_pair, ready)) - self._done
        self._done |= fresh
        self._newly_done |= dict.fromkeys(fresh, file.uri if only is None else "")
        if alone and only is None:
            numbers = [rows.numbers[i] for i in alone]
            yield WholeRows(
                file.uri, replace(rows, batch=rows.batch.take(pa.array(alone)), numbers=numbers)
            )
        elif rows.unreadable and only is None:
            none = replace(rows, batch=rows.batch.slice(0, 0), numbers=())
            yield WholeRows(file.uri, none)
        yield from _joined(ready)

    def waiting(self, file_uri: str) -> list[WaitingRow]:
        """The rows of a file that wait still, or whose pair isn't `completed` yet; asked once."""
        rows = self._unpaired.pop(file_uri, {})
        open_ = self._newly_done
        return [row for (p, _), row in rows.items() if p not in self._done or p in open_]

    def completed(self, ended: Collection[str]) -> set[str]:
        """The pairs that were completed by files which have `ended`, each told once.

        Until then, a run that is killed would read the file anew, and find one half alone.
        """
        found = {pair for pair, uri in self._newly_done.items() if uri in ended or not uri}
        for pair in found:
            del self._newly_done[pair]
        return found

    def unanswered(self) -> Collection[str]:
        """The pairs of which something was asked, and is held."""
        return self._asked.keys() - self._done

    def unasked(self) -> Collection[str]:
        """The pairs of which there are answers alone."""
        return self._answers.keys()

    def shrink(self) -> None:
        """Let go of the oldest of what was asked, once the ledger knows its place."""
        total = sum(size for size, _ in self._held.values())
        while total > HELD_BYTES and self._held:
            _, (size, pairs) = self._held.popitem(last=False)
            total -= size
            for pair in pairs:
                self._asked.pop(pair, None)


def _pair(both: tuple[_Row, _Row]) -> str:
    answer, _ = both
    batch = answer.batch
    return str(batch.column(batch.schema.names.index(PAIR))[answer.i].as_py())


def _joined(ready: Sequence[tuple[_Row, _Row]]) -> Iterator[WholeRows]:
    """The answers with what was asked beside them, by the file of the answers."""
    by_file: defaultdict[str, list[tuple[_Row, _Row]]] = defaultdict(list)
    for both in ready:
        by_file[both[0].file.uri].append(both)
    for uri, some in by_file.items():
        answers = _gathered([answer for answer, _ in some])
        asked = _gathered([question for _, question in some])
        columns = {
            name: answers.column(name)
            if name in (PAIR, BEGINS, EXPECTED, "")
            else _either(answers.column(name), asked.column(name))
            for name in answers.schema.names
        }
        yield WholeRows(
            uri,
            SourceRows(
                batch=pa.RecordBatch.from_pydict(columns),
                numbers=[answer.number for answer, _ in some],
            ),
        )


def _either(answer: Any, asked: Any) -> Any:
    """What the answer says, or else what was asked."""
    if answer.type == asked.type:
        return pc.coalesce(answer, asked)
    if pa.types.is_null(answer.type):
        return asked
    if pa.types.is_null(asked.type):
        return answer
    return pc.coalesce(answer.cast(pa.string()), asked.cast(pa.string()))


def _gathered(rows: Sequence[_Row]) -> Any:
    """The rows of several batches as one, in their order."""
    by_batch: dict[int, tuple[Any, list[int], list[int]]] = {}
    for place, row in enumerate(rows):
        _, inside, places = by_batch.setdefault(id(row.batch), (row.batch, [], []))
        inside.append(row.i)
        places.append(place)
    parts = [batch.take(pa.array(inside)) for batch, inside, _ in by_batch.values()]
    order = [place for _, _, places in by_batch.values() for place in places]
    back = sorted(range(len(order)), key=order.__getitem__)
    names = parts[0].schema.names
    columns = {
        name: _concatenated([p.column(p.schema.names.index(name)) for p in parts]) for name in names
    }
    return pa.RecordBatch.from_pydict(columns).take(pa.array(back))


def _concatenated(columns: Sequence[Any]) -> Any:
    kinds = {c.type for c in columns if not pa.types.is_null(c.type)}
    kind = kinds.pop() if len(kinds) == 1 else pa.string()
    return pa.concat_arrays([c if c.type == kind else c.cast(kind) for c in columns])
