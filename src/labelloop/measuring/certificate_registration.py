"""Registering certificates: with the round that draws their audits, before any audit is answered.

A certificate opens with a round, and closes with the round whose audits suffice. Terms, risk and its
part of the failure probability are fixed when it opens, and counts alone decide when it closes, so no
label can have a say in what is tested.
"""

from collections.abc import Sequence
from datetime import datetime

from labelloop.core.certificate import RegisteredCertificate, Terms
from labelloop.core.draw import Draw
from labelloop.core.round import Round
from labelloop.ledger import Transaction, certificates, risks, rounds
from labelloop.measuring.learned_risk import learn
from labelloop.statistics.certify_counts import audits_to_close
from labelloop.statistics.drop import level_spent


def register_round(
    tx: Transaction, made: Round, draws: Sequence[Draw], *, blind: str | None, terms: Terms
) -> None:
    """Add a round to the open certificate, or to a new one if none is open.

    blind
        the evaluation queue; the uniform part of its draws are the audits
    """
    n_audits = sum(d.uniform for d in draws if d.queue == blind)
    if made.extra or not n_audits:
        return
    open_one = certificates.open_one(tx) or _opened(tx, terms, made.created_at)
    human = sum(d.queue != blind for d in draws)
    earlier = [r for r in rounds.every(tx) if r.round in open_one.rounds]
    n_people = rounds.n_draws_for_training(tx, [r.round for r in earlier]) + human
    sizes = [r.n_frame for r in earlier] + [made.n_frame]
    audits = audits_to_close(
        list(zip(sizes, [*open_one.audits, n_audits], strict=True)),
        max_error=open_one.max_error,
        failure_probability=open_one.failure_probability,
        promise=open_one.promise,
        human_labels=n_people if open_one.promise == "training-set" else 0,
    )
    certificates.add_round(tx, open_one, made.round, n_audits=n_audits, closed=audits.enough)


def _opened(tx: Transaction, terms: Terms, now: datetime) -> RegisteredCertificate:
    number = certificates.next_id(tx)
    learned = learn(tx)
    version = risks.put(tx, learned.rounds, learned.model.to_json(), now) if learned else None
    made = RegisteredCertificate(
        id=number,
        closed=False,
        rounds=(),
        promise=terms.promise,
        max_error=terms.max_error,
        failure_probability=level_spent(terms.failure_probability, number),
        audits=(),
        risk_version=version,
        registered_at=now,
    )
    certificates.register(tx, made)
    return made
