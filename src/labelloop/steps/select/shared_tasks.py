"""Which task each draw of a round names: one that an earlier draw made, or a new one.

A sample has one task for a purpose, and byte-identical copies of an input share theirs: people answer it
once. Each draw keeps its own chance, so the label counts for each, as if each had been asked about.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from labelloop.core.draw import Draw
from labelloop.core.queue import Purpose
from labelloop.ledger import Transaction, tasks


def with_shared_tasks(
    tx: Transaction, draws: Iterable[Draw], purposes: Mapping[str, Purpose]
) -> tuple[Draw, ...]:
    """The draws, each with the key of the task that its sample, or its input, has for the purpose.

    What asks again about a label keeps a task of its own.
    """
    given = tuple(draws)
    by_sample: dict[Purpose, dict[str, str]] = {}
    by_content: dict[Purpose, dict[str, str]] = {}
    for purpose in Purpose:
        own = [d for d in given if purposes[d.queue] is purpose]
        by_sample[purpose] = tasks.first_look_keys(tx, purpose, [d.sample_id for d in own])
        by_content[purpose] = tasks.keys_by_content(tx, purpose, [d.content_hash for d in own])
    shared: list[Draw] = []
    for draw in given:
        if draw.look:
            shared.append(draw)
            continue
        purpose = purposes[draw.queue]
        key = by_sample[purpose].get(draw.sample_id)
        if key is None and draw.content_hash:
            key = by_content[purpose].setdefault(draw.content_hash, draw.task_key)
        shared.append(replace(draw, task_key=key or draw.task_key))
    return tuple(shared)
