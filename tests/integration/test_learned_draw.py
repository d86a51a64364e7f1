"""A risk that learned from attributes draws the same from Iceberg as from memory."""

import pytest

from labelloop.adapters.iceberg.log import IcebergLog
from labelloop.ledger import risks, rounds
from tests.learning import QUEUE, day, night
from tests.world import LOW, World

NIGHTS = LOW.replace("confidence < 0.7", "attributes.light = 'night'").replace("= 4", "= 20")


def test_both_logs_teach_the_same_risk_and_draw_the_same(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    seen = []
    for kind in ("memory", "iceberg"):
        folder = tmp_path_factory.mktemp(kind)
        world = World(folder, QUEUE.format(budget=150) + NIGHTS)
        if kind == "iceberg":
            world.log = IcebergLog.open(  # type: ignore[assignment]
                warehouse=str(folder / "log"),
                catalog=f"sqlite:///{folder / 'catalog.db'}",
                ledger_id=world.log.ledger_id,
                salt=world.log.salt,
            )
            world.restart()
        for number in (1, 2, 3):
            day(world, night(0.05, 0.6), n=800, seed=number)
        with world.loop.project.ledger.read() as tx:
            version = rounds.every(tx)[2].risk_version
            assert version is not None
            risk = risks.get(tx, version)
            cells = sorted(
                rounds.cells_of(tx, 3), key=lambda c: (c.queue, c.predicted_class, c.risk_bin)
            )
        assert "attributes.light" in risk.params
        seen.append((risk.params, cells, world.draws()))
        world.loop.close()
        if isinstance(world.log, IcebergLog):
            world.log.close()
    assert seen[0] == seen[1]
