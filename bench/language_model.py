"""A language model's answers, judged by another model: the tutorial's export, and its recording.

python -m bench.language_model FOLDER    writes an export of Langfuse, after the fields that it documents
python -m bench.language_model --record  runs the tutorial, and writes what is printed into its page
"""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

PAGE = Path("docs/tutorial/language-model.md")
FACTS = {
    "How long may I return shoes?": ("30 days", "14 days"),
    "How much is shipping to Norway?": ("9 euros", "nothing"),
    "Is the blue jacket waterproof?": ("yes", "no"),
    "Where is my order shipped from?": ("Hamburg", "Lyon"),
    "How long is the warranty on zips?": ("2 years", "5 years"),
    "Can I pay by invoice?": ("yes, from the second order on", "no"),
    "Do you repair backpacks?": ("yes, free in the first year", "no"),
    "What size is a large helmet?": ("58 to 61 cm", "55 to 58 cm"),
}
"""Questions, what is right, and what the assistant says when it is wrong."""
GREETINGS = ("Hi!", "Good morning.", "Dear team,", "Quick question:", "Hello there,")
WRONG, OVERLOOKED, UNFAIR = 0.18, 0.45, 0.03
"""How often the assistant errs, and the judge: it passes wrong answers, and fails right ones."""
N = 3_000


def export(folder: Path, now: datetime) -> None:
    """Write observations and scores of two days, as the export to blob storage does."""
    rng = random.Random(7)  # noqa: S311  an example
    observations, scores = [], []
    for i in range(N):
        at = now - timedelta(days=2) * (1 - i / N) - timedelta(minutes=5)
        question = rng.choice(list(FACTS))
        right, wrong = FACTS[question]
        is_wrong = rng.random() < WRONG
        passes = rng.random() < OVERLOOKED if is_wrong else rng.random() >= UNFAIR
        trace, name = f"{rng.getrandbits(128):032x}", f"{rng.getrandbits(64):016x}"
        asked = f"Order {rng.randrange(10**6):06}. {rng.choice(GREETINGS)} {question}"
        said = wrong if is_wrong else right
        observations.append(_observation(trace, name, at, asked, said, i))
        scores.append(_score(trace, name, at, "EVAL", "pass" if passes else "fail"))
        if rng.random() < 0.01:  # someone looked at it in Langfuse, verdict and all
            scores.append(_score(trace, name, at, "ANNOTATION", "fail" if is_wrong else "pass"))
    for table, rows in (("observations_v2", observations), ("scores", scores)):
        for half in (0, 1):
            some = rows[half * len(rows) // 2 : (half + 1) * len(rows) // 2]
            path = folder / table / f"part-{half}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(row) + "\n" for row in some))


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S.%f}"


def _observation(
    trace: str, name: str, at: datetime, question: str, answer: str, i: int
) -> dict[str, object]:
    return {
        "id": name,
        "trace_id": trace,
        "project_id": "shop",
        "environment": "production",
        "type": "GENERATION",
        "parent_observation_id": "",
        "start_time": _stamp(at - timedelta(seconds=40)),
        "end_time": _stamp(at - timedelta(seconds=38)),
        "name": "answer",
        "metadata": {},
        "input": question,
        "output": f"Thanks for asking! The answer is: {answer}.",
        "provided_model_name": "shop-assistant-2",
        "prompt_name": "answer",
        "prompt_version": 4 + i % 2,
        "trace_name": "chat",
    }


def _score(trace: str, name: str, at: datetime, source: str, verdict: str) -> dict[str, object]:
    return {
        "id": f"{source}-{name}",
        "timestamp": _stamp(at),
        "project_id": "shop",
        "environment": "production",
        "trace_id": trace,
        "observation_id": name,
        "session_id": None,
        "dataset_run_id": None,
        "name": "correctness",
        "value": 1 if verdict == "pass" else 0,
        "source": source,
        "comment": None,
        "data_type": "CATEGORICAL",
        "string_value": verdict,
    }


# --- the recording --------------------------------------------------------------------------------


def record() -> None:
    """Run the tutorial in a new folder, and write what it prints into its page."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export(folder / "export", datetime.now(UTC))
        made = labelloop(
            folder, "init", "export", "--yes", "--annotator", "labelling-page", "--name", "shop",
            "--class", "pass", "--class", "fail",
        )  # fmt: skip
        settings = folder / "labelloop.toml"
        text = re.sub(r"budget = \d+", "budget = 150", settings.read_text(), count=1)
        settings.write_text(text)
        source = re.search(r"^\[input\]\n.*?(?=^\[labelling_page\])", text, re.M | re.S)
        first = labelloop(folder, "run")
        token = labelloop(folder, "people", "add", "ann@example.com", "--scopes", "label")
        n, seconds = label(folder, token.split()[-1])
        labelled = f"{n} answers in {seconds:.0f} s: nobody types so fast; it is a script"
        last = labelloop(folder, "run")
        measured = labelloop(folder, "measure")
        known = truth(folder / "export")
    parts = {
        "init": made, "source": source[0] if source else "", "run": first, "labelled": labelled,
        "last": last, "measure": measured, "truth": known,
    }  # fmt: skip
    page = PAGE.read_text()
    for part, said in parts.items():
        kind = "toml" if part == "source" else "text"
        block = f"<!-- recorded: {part} -->\n```{kind}\n{said.strip()}\n```\n<!-- end of {part} -->"
        found = rf"<!-- recorded: {part} -->.*?<!-- end of {part} -->"
        page, n_found = re.subn(found, lambda _, b=block: b, page, flags=re.S)
        assert n_found == 1, part
    PAGE.write_text(page)


def truth(folder: Path) -> str:
    """What the shop's facts say of all answers, and what the judge says."""
    rows = [
        json.loads(line)
        for path in folder.rglob("*.jsonl")
        for line in path.read_text().splitlines()
    ]
    right = sum(is_right(row["input"] + row["output"]) for row in rows if "output" in row)
    passed = sum(r["string_value"] == "pass" for r in rows if r.get("source") == "EVAL")
    return f"the judge passes {passed / N:.1%} of all {N:,} answers; {right / N:.1%} are right"


def is_right(text: str) -> bool:
    """Whether a question's answer is what the shop knows."""
    return any(q in text and f": {facts[0]}." in text for q, facts in FACTS.items())


def labelloop(folder: Path, *arguments: str) -> str:
    """What a command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "labelloop", *arguments],
        cwd=folder,
        env=os.environ | {"COLUMNS": "100", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{arguments}: {done.stdout}{done.stderr}")
    if arguments[0] != "init":
        return done.stdout
    said = done.stderr.partition("nanobind:")[0]  # DuckDB's module says so when Python ends
    return said + done.stdout


def label(folder: Path, token: str) -> tuple[int, float]:
    """Answer all that waits on the labelling page, by HTTP, knowing the facts; how many, and how long."""
    with (folder / "serve.log").open("w") as log:
        arguments = [sys.executable, "-m", "labelloop", "serve", "--port", "8571"]
        service = subprocess.Popen(arguments, cwd=folder, stdout=log, stderr=log)
        try:
            headers = {"Authorization": f"Bearer {token}"}
            base = "http://127.0.0.1:8571"
            with httpx.Client(base_url=base, headers=headers, timeout=30) as browser:
                until = time.monotonic() + 60
                while not _is_up(browser):
                    if time.monotonic() > until:
                        raise SystemExit((folder / "serve.log").read_text())
                    time.sleep(0.5)
                browser.headers["X-CSRF-Token"] = browser.get("/label/session").json()["csrf"]
                begun, n = time.monotonic(), 0
                while items := (said := browser.get("/label/accuracy/next?n=20").json())["items"]:
                    for item in items:
                        assert "verdict" not in item["text"]
                        right = is_right(item["text"])
                        answer = {
                            "id": f"{n:032x}",
                            "task": item["task"],
                            "choice": "pass" if right else "fail",
                            "who": said["who"],
                        }
                        given = browser.post("/label/accuracy/answer", json=answer)
                        if not given.json().get("saved"):
                            raise SystemExit(given.text)
                        n += 1
                return n, time.monotonic() - begun
        finally:
            service.terminate()
            service.wait(30)


def _is_up(browser: httpx.Client) -> bool:
    try:
        return browser.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    if sys.argv[1:] == ["--record"]:
        record()
    else:
        export(Path(sys.argv[1]), datetime.now(UTC))
