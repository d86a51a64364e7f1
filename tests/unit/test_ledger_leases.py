"""Leases: one process a step at a time, and the past is fenced off."""

import os
import subprocess
import sys
import threading

import pytest
import sqlalchemy as sa

from labelloop.errors import LeaseHeld, LeaseLost
from labelloop.ledger import Ledger, cursors
from labelloop.ledger import holder as process
from labelloop.ledger import tables as t
from labelloop.ledger.engine import database_url


def rewrite(url: str, **values: object) -> None:
    """Make the lease of `send` look as another process would have left it."""
    engine = sa.create_engine(database_url(url))
    with engine.begin() as tx:
        tx.execute(t.leases.update().where(t.leases.c.step == "send").values(**values))
    engine.dispose()


def value(ledger: Ledger, name: str) -> str | None:
    with ledger.read() as tx:
        return cursors.get(tx, name)


def test_a_step_is_held_by_one_at_a_time(url: str, ledger: Ledger) -> None:
    other = Ledger.open(url)
    with ledger.lease("send"):
        held = rf"process {os.getpid()} on \S+ is running `send`"
        with pytest.raises(LeaseHeld, match=held), other.lease("send"):
            pass
        with other.lease("collect"):
            pass
    with other.lease("send") as lease:
        assert lease.token == 2
    other.close()


def test_the_lease_of_a_process_that_died_is_taken_over(url: str, ledger: Ledger) -> None:
    code = (
        "import os, sys; from labelloop.ledger import Ledger;"
        "Ledger.open(sys.argv[1]).lease('send').__enter__(); os._exit(9)"
    )
    ended = subprocess.run([sys.executable, "-c", code, url], check=False, timeout=240)
    assert ended.returncode == 9
    with ledger.lease("send") as lease:
        assert lease.token == 2


def test_a_recycled_process_number_is_not_the_holder(url: str, ledger: Ledger) -> None:
    with ledger.lease("send") as lease:
        host, _, began, numbering = lease.holder.split(" ")
    parent = os.getppid()
    if not began:
        pytest.skip("this system doesn't tell when a process started")
    alive = f"{host} {parent} {process.started(parent)} {numbering}"
    rewrite(url, holder=alive, expires_at=9e9)
    with pytest.raises(LeaseHeld), ledger.lease("send"):
        pass
    rewrite(url, holder=f"{host} {parent} 1{began} {numbering}")
    with ledger.lease("send") as lease:
        assert lease.token == 2


def test_a_process_of_another_container_is_not_dead_because_its_number_is_unknown_here(
    url: str, ledger: Ledger
) -> None:
    with ledger.lease("send") as lease:
        host, _, began, numbering = lease.holder.split(" ")
    unused = 2**22 + 1
    rewrite(url, holder=f"{host} {unused} {began} 1{numbering}", expires_at=9e9)
    with pytest.raises(LeaseHeld, match=f"process {unused}"), ledger.lease("send"):
        pass
    rewrite(url, holder=f"{host} {unused} {began} {numbering}")
    with ledger.lease("send") as lease:
        assert lease.token == 2


def test_a_lease_of_another_machine_is_taken_over_once_it_has_run_out(
    url: str, ledger: Ledger
) -> None:
    with ledger.lease("send"):
        pass
    rewrite(url, holder="elsewhere 1 1", expires_at=9e9)
    with pytest.raises(LeaseHeld, match="process 1 on elsewhere"), ledger.lease("send"):
        pass
    rewrite(url, expires_at=1.0)
    with ledger.lease("send") as lease:
        assert lease.token == 2


def test_a_writer_that_was_taken_over_writes_nothing(url: str, ledger: Ledger) -> None:
    with ledger.lease("send") as old:
        rewrite(url, expires_at=1.0)
        other = Ledger.open(url)
        with other.lease("send") as new:
            with (
                pytest.raises(LeaseLost, match="another process took over"),
                ledger.write(old) as tx,
            ):
                cursors.put(tx, "who", "old")
            assert value(ledger, "who") is None
            with other.write(new) as tx:
                cursors.put(tx, "who", "new")
        other.close()
    assert value(ledger, "who") == "new"


def test_ending_an_old_lease_leaves_the_new_one(url: str, ledger: Ledger) -> None:
    other = Ledger.open(url)
    with ledger.lease("send"):
        rewrite(url, expires_at=1.0)
        held = other.lease("send")
        held.__enter__()
    with pytest.raises(LeaseHeld), ledger.lease("send"):
        pass
    held.__exit__(None, None, None)
    other.close()


def test_a_write_that_fails_is_undone_whole(ledger: Ledger) -> None:
    def write_and_fail() -> None:
        with ledger.lease("send") as lease, ledger.write(lease) as tx:
            cursors.put(tx, "a", "1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert value(ledger, "a") is None


def test_a_lease_is_renewed_while_its_holder_works(url: str, ledger: Ledger) -> None:
    def expires_at() -> float:
        with ledger.read() as tx:
            return float(tx.execute(sa.select(t.leases.c.expires_at)).scalar_one())

    with ledger.lease("send", lease_s=0.3):
        first = expires_at()
        for _ in range(2000):
            threading.Event().wait(0.05)
            if expires_at() > first:
                break
        assert expires_at() > first
    assert expires_at() == 0


def test_readers_do_not_wait_for_a_writer(url: str, ledger: Ledger) -> None:
    other = Ledger.open(url)
    with ledger.lease("send") as lease, ledger.write(lease) as tx:
        cursors.put(tx, "a", "1")
        assert value(other, "a") is None
    assert value(other, "a") == "1"
    other.close()


def test_a_lease_that_could_not_be_given_back_is_no_bar_to_its_own_ledger(
    url: str, ledger: Ledger
) -> None:
    def rename(old: str, new: str) -> None:
        engine = sa.create_engine(database_url(url))
        with engine.begin() as tx:
            tx.execute(sa.text(f"ALTER TABLE {old} RENAME TO {new}"))
        engine.dispose()

    other = Ledger.open(url)
    with ledger.lease("send"):
        rename("leases", "elsewhere")
    rename("elsewhere", "leases")
    with pytest.raises(LeaseHeld), other.lease("send"):
        pass
    with ledger.lease("send") as lease:
        assert lease.token == 2
        with pytest.raises(LeaseHeld), ledger.lease("send"):
            pass
    other.close()
