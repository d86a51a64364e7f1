"""What each verb did, in a line."""

from typing import TYPE_CHECKING

from labelloop.core.estimate import Estimate
from labelloop.views.gate import answer, question
from labelloop.views.headline import headline
from labelloop.views.people import in_short
from labelloop.views.sentences import fallen, mean_cost, newest_extra
from labelloop.views.wording import counted, logged_share, moment, row_count

if TYPE_CHECKING:
    from collections.abc import Callable

    from labelloop.core.upkeep import Upkeep
    from labelloop.measuring.measured import Measured
    from labelloop.steps.build.build import Built, BuiltDataset
    from labelloop.steps.collect.tally import Collected
    from labelloop.steps.index.indexed import Indexed
    from labelloop.steps.notify.notify import Notified
    from labelloop.steps.select.select import Selected
    from labelloop.steps.send.send import Sent


def line(verb: str, result: object, timezone: str) -> str:
    """What a verb did; what stands below it comes after a line break."""
    if verb == "select":
        return select_line(result, timezone)  # type: ignore[arg-type]  # the verb says what it is
    of: dict[str, Callable[..., str]] = {
        "index": index_line,
        "collect": collect_line,
        "send": send_line,
        "measure": measure_line,
        "build": build_line,
        "log": upkeep_line,
        "notify": notify_line,
    }
    return of[verb](result)


def index_line(r: "Indexed") -> str:
    """What `index` found, in a line."""
    seen = [] if r.n_notified is None else [f"{r.n_notified:,} notified"]
    if r.n_listed:
        seen.append(f"{r.n_listed:,} listed")
    if r.n_files is not None:
        files = "1 file" if r.n_files == 1 else f"{r.n_files:,} files"
        rows = "1 row" if r.n_rows == 1 else f"{r.n_rows:,} rows"
        seen.append(f"{rows} in {files}" if r.n_files else "no new file")
    parts = [f"{r.n_new:,} new ({', '.join(seen)})"]
    if r.n_listed == 0 and r.n_files is None and r.n_notified is None:
        parts = ["nothing there: what [store] uri names, or each of its prefixes, is empty"]
    if r.n_unreadable:
        n = "1 notification" if r.n_unreadable == 1 else f"{r.n_unreadable:,} notifications"
        parts.append(f"{n} can't be read, so the bucket was listed")
    if r.n_batches_restored:
        parts.append(
            f"{r.n_batches_restored:,} batches taken in that the restored ledger didn't know"
        )
    if r.n_shadow:
        parts.append(f"{r.n_shadow:,} answers of shadow models")
    if r.n_set_aside_in_all:
        why = "" if r.n_new or not r.n_set_aside else ": `labelloop status --rejected` says why"
        parts.append(
            f"{row_count(r.set_aside)} rejected ({row_count(r.set_aside_in_all)} in all){why}"
        )
    if r.n_pending > r.n_unreadable_yet:
        of_table = r.n_files is not None and not r.n_listed
        waits = "not written to its end yet" if of_table else "not tagged yet"
        parts.append(f"{r.n_pending - r.n_unreadable_yet:,} {waits}")
    if r.n_waiting:
        parts.append(f"{r.n_waiting:,} wait for the request or answer that they belong to")
    if r.n_unreadable_yet:
        parts.append(f"{r.n_unreadable_yet:,} can't be read yet: empty, denied or half written")
    if r.n_ahead:
        parts.append(f"{r.n_ahead:,} dated in the future: a clock runs ahead")
    if r.n_feedback:
        parts.append(f"{r.n_feedback:,} new flags and corrections")
    return "; ".join(parts)


def upkeep_line(r: "Upkeep") -> str:
    """What tidying the log did, or would do, in a line."""
    parts = []
    if r.n_small:
        parts.append(
            f"{r.n_small:,} small files {'to merge' if r.dry_run else 'merged'} into {r.n_merged:,}"
        )
    if r.n_snapshots:
        parts.append(f"{r.n_snapshots:,} old versions {'to let' if r.dry_run else 'let'} go")
    if r.n_removed:
        removed = "files that nothing needs"
        parts.append(
            f"{r.n_removed:,} {removed} {'to remove' if r.dry_run else 'removed'} "
            f"({r.freed_bytes / 1e6:,.1f} MB)"
        )
    n_files = r.n_files if r.dry_run else r.n_files - r.n_small + r.n_merged
    has = "1 file" if n_files == 1 else f"{n_files:,} files"
    return "; ".join(parts or ["nothing to tidy"]) + f"; the log has {has}"


def notify_line(r: "Notified") -> str:
    """What other programs were told, in a line; below it who couldn't be told."""
    parts = [f"{counted(r.n_delivered, 'event')} delivered"]
    if r.n_waiting:
        parts.append(f"{r.n_waiting:,} to be tried again")
    if r.n_dead:
        parts.append(f"{r.n_dead:,} given up: `labelloop notify` lists them")
    return "\n".join(["; ".join(parts), *r.errors.values()])


def collect_line(r: "Collected") -> str:
    """What `collect` brought, in a line."""
    parts = [counted(r.n_labels, "label")]
    for n, what in (
        (r.n_looks, "second looks"),
        (r.n_asked_again, "samples to be looked at again"),
        (r.n_edited, "edited"),
        (r.n_skipped, "skipped"),
        (r.n_deleted, "deleted"),
        (r.n_duplicates, "duplicate tasks removed"),
        (r.n_lost, "tasks gone from their project, to be sent again"),
        (r.n_void, "that count as none, as their authors had looked at what the model said"),
    ):
        if n:
            parts.append(f"{n:,} {what}")
    if r.strays:
        shown = ", ".join(sorted({s.value for s in r.strays})[:3])
        parts.append(f"{len(r.strays):,} answers that are no class, rejected ({shown})")
    if r.lost_projects:
        parts.append(f"projects gone: {', '.join(r.lost_projects)}")
    return ", ".join(parts)


def select_line(r: "Selected", timezone: str) -> str:
    """What `select` decided, in a line."""
    if r.tops_up:
        return _topped_up(r)
    due = f"next round due {moment(r.due_at, timezone)}"
    if r.held_by is not None:
        return f"a round is due, and waits: queue {r.held_by!r} is paused"
    if not r.due:
        return f"no round is due before {moment(r.due_at, timezone)} (--now closes one early)"
    skipped = f"; {r.n_skipped:,} older than the first window" if r.n_skipped else ""
    if skipped and r.round is None:
        skipped += ": `labelloop run --since DATE` draws from them, in a round of its own"
    if r.round is None:
        return f"nothing new to draw from{skipped}"
    drawn = ", ".join(
        f"{p.queue} {p.n_drawn:,}" + (f" of {p.n_matching:,}" if p.n_drawn < p.n_matching else "")
        for p in r.plans
    )
    held = "".join(f"; {name} holds {n:,} of them" for name, n in r.already_trained)
    due += "".join(f"\nleft out: {p.left_out}" for p in r.plans if p.left_out)
    return f"{drawn}{skipped}; " + (f"an extra round, reported apart{held}" if r.extra else due)


def _topped_up(r: "Selected") -> str:
    parts = [
        f"round {number}: {p.n_drawn:,} more of the {p.n_matching:,} that were left"
        for number, p in zip(r.tops_up, r.plans, strict=True)
    ]
    parts += [f"{name} holds {n:,} of them" for name, n in r.already_trained]
    if r.repeated:
        parts.append("drawn before, so nothing was added: `labelloop send` sends them")
    return "; ".join(parts)


def send_line(r: "Sent") -> str:
    """What `send` did, in a line."""
    parts = [f"{counted(r.n_sent, 'task')}, {r.n_found:,} already there"]
    if r.n_unavailable:
        parts.append(f"{r.n_unavailable:,} whose input is gone, overwritten or no image")
    if r.n_refreshed:
        parts.append(f"{r.n_refreshed:,} image URLs renewed")
    if r.n_asked_again:
        parts.append(f"{r.n_asked_again:,} offered to one more person")
    if r.n_copies_removed:
        parts.append(f"{r.n_copies_removed:,} blind copies removed")
    return "; ".join(parts)


def measure_line(r: "Measured") -> str:
    """The accuracy of the last seven days, in a line; below it what that rests on."""
    fall = f"; {fallen(r.trend.alarm)}" if r.trend.alarm else ""
    recent = r.last_seven_days
    text = headline(recent, r.missing).says
    if isinstance(recent.estimate, Estimate):
        if r.n_random_sample is not None and not r.even:
            text += f" (a plain random sample would have needed about {r.n_random_sample:,})"
        if share := logged_share(recent.n_traffic, recent.n_logged):
            text += f", {share}"
        if recent.n_waiting:
            text += f", {recent.n_waiting:,} more waiting"
    elif (extra := newest_extra(r)) is not None:
        text = f"{extra}; the last 7 days: {recent.estimate.reason}"
    asked = f"{r.gate.verdict}: {question(r.gate)} {answer(r.gate)}" if r.gate else ""
    return "\n".join(filter(None, [text + fall, in_short(r), mean_cost(r), asked]))


def build_line(r: "Built") -> str:
    """What `build` released, and below it what is promised of the model's labels."""
    text = f"{_dataset_text(r.training)}; {_dataset_text(r.evaluation)}"
    lines = [text]
    if r.released:
        of = "rounds " if len(r.released) > 1 else "round "
        of += ", ".join(map(str, r.released))
        lines.append(f"{of} released: evaluation labels may train now, and judge no more")
    if r.n_walled:
        whose = "its input is a copy" if r.n_walled == 1 else "their inputs are copies"
        lines.append(f"{counted(r.n_walled, 'label')} left out: {whose} of what evaluation drew")
    if r.n_overwritten:
        lines.append(
            f"{counted(r.n_overwritten, 'label')} left out: another content stands where the input was"
        )
    if r.training.version is not None or r.certificates:
        lines += r.guarantee.split("; ")
    return "\n".join(lines)


def _dataset_text(d: "BuiltDataset") -> str:
    if d.version is None:
        return f"{d.name}: nothing yet"
    if not d.is_new:
        return f"{d.name} v{d.version}: unchanged"
    if not d.added_human and not d.added_model:
        model = f", {d.n_model:,} model" if d.n_model else ""
        return f"{d.name} v{d.version}: {d.n_human:,} human{model}, some changed"
    added = [f"{d.added_human:+,} human"]
    if d.n_model or d.added_model:
        added.insert(0, f"{d.added_model:+,} model")
    return f"{d.name} v{d.version}: {', '.join(added)}"
