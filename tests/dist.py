"""The wheels, each tried in a bare environment of its own: `make dist [ARGS=--write]`.

It builds both wheels, installs them as a user would, with and without each extra, and checks there:
what an environment lacks is named with its extra, a project in a folder works without any extra, the
demonstration works from the wheel, and the sizes and import times keep their bounds. The folder of
it all is .dist.
"""

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import uv

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "how-to" / "install.md"
FOLDER = ROOT / ".dist"
UV = uv.find_uv_bin()
WHEELS = FOLDER / "wheels"
MOST_MB = 450
MOST_IMPORT_MS = 50
PARTS = {
    "s3": ("boto3", "pycurl"),
    "serve": ("starlette", "uvicorn"),
    "report": ("resvg_py", "font_roboto"),
    "postgres": ("psycopg",),
    "delta": ("deltalake",),
    "demo": ("mlxtend", "PIL", "sklearn"),
    "spark": ("pyspark",),
}
"""What an environment with that extra can import, and one without can't."""
EVERY_MODULE = """
import importlib, json, pkgutil, sys
import labelloop
missing = {}
for found in pkgutil.walk_packages(labelloop.__path__, "labelloop."):
    if found.name.endswith("__main__") or ".migrations." in found.name:
        continue
    try:
        importlib.import_module(found.name)
    except ModuleNotFoundError as exc:
        missing[found.name] = exc.name
print(json.dumps(missing))
"""
PROJECT = """
[project]
name = "wheels"
classes = ["cat", "dog"]

[store]
uri = "{uri}"
endpoint_url = "http://127.0.0.1:9"
access_key = "made-up"
secret_key = "made-up-secret"

[labelling_page]

[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = 20
{more}
"""
DELTA = '\n[source]\nkind = "delta"\nuri = "{here}/table"\n[source.columns]\nsample_id = "id"\n'
LACKING = {
    "s3": ("s3://bucket", "", ["index"]),
    "serve": ("pictures", "", ["serve"]),
    "report": ("pictures", "", ["report", "--png", "report.png"]),
    "postgres": ("pictures", '[state]\nledger = "postgresql://u@127.0.0.1:9/x"\n', ["index"]),
    "delta": ("pictures", DELTA, ["index"]),
    "demo": ("pictures", "", ["demo", "--quick", "--exit"]),
    "spark": ("pictures", '[engine]\nkind = "spark"\n', ["run"]),
}
"""A project and a command that need the extra: the inputs, more settings, the arguments."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A bare environment with one wheel, and maybe an extra of it."""

    name: str
    package: str
    extra: str | None = None

    @property
    def bin(self) -> Path:
        """The folder of its programs."""
        return FOLDER / self.name / "bin"

    def install(self) -> None:
        """Make it afresh, with the versions that the lock file names."""
        shutil.rmtree(FOLDER / self.name, ignore_errors=True)
        run(UV, "venv", "--quiet", "--python", sys.executable, FOLDER / self.name)
        wheel = f"{self.package}[{self.extra}]" if self.extra else self.package
        run(
            *(UV, "pip", "install", "--quiet", "--compile-bytecode"),
            *("--python", self.bin / "python", "--find-links", WHEELS),
            *("--constraint", ROOT / "requirements.lock"),
            *("--constraint", ROOT / "requirements-spark.lock", wheel),
        )

    def size_mb(self) -> float:
        """Its packages on disk, with the byte code that pip makes too."""
        seen = {f.stat().st_ino: f.stat().st_blocks / 2048 for f in packages_of(self).rglob("*")}
        return sum(seen.values())

    def imports(self, module: str) -> bool:
        """Whether a module is there."""
        code = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
        return subprocess.run([self.bin / "python", "-c", code], env=bare()).returncode == 0

    def cpu_ms(self, *arguments: str) -> float:
        """CPU time of a Python with these arguments beyond Python's own start: the least of nine runs."""
        least = [
            min(cpu_s(self.bin / "python", *each) for _ in range(9))
            for each in (("-c", "pass"), arguments)
        ]
        return 1000 * (least[1] - least[0])

    def labelloop(self, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """What the installed command does in a folder."""
        return subprocess.run(
            [self.bin / "labelloop", *arguments],
            cwd=folder,
            env=bare(),
            text=True,
            capture_output=True,
        )


def bare() -> dict[str, str]:
    """An environment that knows nothing of this checkout."""
    kept = ("HOME", "LANG", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "UV_INDEX_URL", "TMPDIR")
    return {
        "PATH": "/usr/bin:/bin",
        **{name: os.environ[name] for name in kept if name in os.environ},
    }


def run(*command: object, cwd: Path = ROOT) -> None:
    """Run a program that must succeed."""
    subprocess.run([str(part) for part in command], check=True, cwd=cwd)


def cpu_s(*command: object) -> float:
    """User and system time of a program."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([str(part) for part in command], check=True, env=bare(), stdout=-3)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def packages_of(there: Environment) -> Path:
    """Its site-packages."""
    return next((FOLDER / there.name / "lib").glob("python*/site-packages"))


def build() -> None:
    """Build both wheels, and check that they hold what is in the source and nothing else."""
    shutil.rmtree(WHEELS, ignore_errors=True)
    for source, package in ((ROOT, "labelloop"), (ROOT / "capture", "labelloop_capture")):
        run(UV, "build", "--quiet", "--wheel", "--out-dir", WHEELS, source)
        tracked = subprocess.run(
            ["git", "ls-files", f"src/{package}"],
            cwd=source,
            check=True,
            text=True,
            capture_output=True,
        ).stdout.split()
        wheel = next(WHEELS.glob(f"{package}-*.whl"))
        names = zipfile.ZipFile(wheel).namelist()
        held = {n for n in names if ".dist-info/" not in n}
        assert held == {t.removeprefix("src/") for t in tracked}, f"{wheel.name} differs"
        assert any(n.endswith("METADATA") for n in names)
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, {len(held)} files")


def checked(there: Environment) -> float:
    """Check that an environment has what its extra names and lacks the rest; its size in MB."""
    there.install()
    missing = json.loads(
        subprocess.run(
            [there.bin / "python", "-c", EVERY_MODULE],
            env=bare(),
            check=True,
            text=True,
            capture_output=True,
        ).stdout
    )
    own = needed(there.extra)
    for extra, modules in PARTS.items():
        for module in modules:
            if extra in own:
                assert there.imports(module), f"{there.name} lacks {module}"
            elif there.extra is None:
                assert not there.imports(module), f"a base installation brings {module}"
    known = {module for modules in PARTS.values() for module in modules} | {"airflow"}
    for module, name in missing.items():
        assert name.partition(".")[0] in known, f"{module} needs {name}, which no extra names"
    return there.size_mb()


@cache
def extras() -> dict[str, list[str]]:
    """What each extra names."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: dict[str, list[str]] = tomllib.load(file)["project"]["optional-dependencies"]
    return found


def needed(extra: str | None) -> set[str]:
    """An extra, and the extras that it brings."""
    if extra is None:
        return set()
    brought = re.findall(r"labelloop\[([\w,]+)\]", " ".join(extras()[extra]))
    return {extra, *(name for names in brought for name in names.split(","))}


def project(name: str, uri: str, more: str) -> Path:
    """A fresh folder with a project in it."""
    folder = FOLDER / "projects" / name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "pictures").mkdir(parents=True)
    for i in range(60):
        said = {"predicted_class": "cat" if i % 3 else "dog", "timestamp": "2026-03-01T12:00:00Z"}
        picture = folder / "pictures" / f"{i}.png"
        picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes([i] * 40))
        picture.with_name(f"{i}.png.json").write_text(json.dumps(said), encoding="utf-8")
    text = PROJECT.format(uri=uri, more=more.format(here=folder))
    (folder / "labelloop.toml").write_text(text, encoding="utf-8")
    return folder


def try_base(base: Environment) -> None:
    """A project in a folder works without extras; what needs one names it."""
    folder = project("folder", "pictures", '[rounds]\nfirst_window = "10000 days"\n')
    for arguments in (["run"], ["status"], ["report", "--html", "report.html"], ["run"]):
        done = base.labelloop(folder, *arguments)
        assert done.returncode == 0, f"labelloop {arguments}:\n{done.stdout}{done.stderr}"
    assert (
        "20 of 60" in base.labelloop(folder, "status").stdout or (folder / "report.html").exists()
    )
    for extra, (uri, more, arguments) in LACKING.items():
        done = base.labelloop(project(f"without-{extra}", uri, more), *arguments)
        said = f"{done.stdout}{done.stderr}"
        assert done.returncode == 1, f"labelloop {arguments} ended with {done.returncode}:\n{said}"
        assert f"pip install 'labelloop[{extra}]'" in said, f"{extra} isn't named:\n{said}"
        assert "Traceback" not in said


def try_demo(demo: Environment) -> None:
    """The demonstration, from the wheel alone."""
    folder = FOLDER / "projects" / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    done = demo.labelloop(folder, "demo", "--quick", "--exit")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert "Three days in production" in done.stdout, done.stdout


def rows(sizes: dict[str, float], times: dict[str, float]) -> Iterator[str]:
    """The tables of docs/how-to/install.md."""
    yield "| installed | MB on disk | more than without |"
    yield "| --- | ---: | ---: |"
    for name, size in sizes.items():
        more = f"{size - sizes['labelloop']:,.0f}" if name.startswith("labelloop[") else ""
        yield f"| `{name}` | {size:,.0f} | {more} |"
    yield ""
    yield "| started | CPU time beyond Python's own start |"
    yield "| --- | ---: |"
    for name, ms in times.items():
        yield f"| `{name}` | {ms:,.0f} ms |"


def main() -> None:
    """Check everything; print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"into docs/how-to/{PAGE.name}")
    asked = parser.parse_args()
    build()
    base, capture = Environment("base", "labelloop"), Environment("capture", "labelloop-capture")
    each = [Environment(extra, "labelloop", extra) for extra in PARTS]
    sizes = {"labelloop": checked(base)}
    print(f"base: {sizes['labelloop']:.0f} MB")
    try_base(base)
    for there in each:
        sizes[f"labelloop[{there.extra}]"] = checked(there)
        print(f"{there.name}: {sizes[f'labelloop[{there.extra}]']:.0f} MB")
    capture.install()
    sizes["labelloop-capture"] = capture.size_mb()
    folder = FOLDER / "projects" / "folder"
    times = {
        "import labelloop": base.cpu_ms("-c", "import labelloop"),
        "import labelloop_capture": capture.cpu_ms("-c", "import labelloop_capture"),
        "labelloop --help": base.cpu_ms("-m", "labelloop", "--help"),
        "labelloop status": base.cpu_ms(
            "-m", "labelloop", "status", "--config", str(folder / "labelloop.toml")
        ),
    }
    table = "\n".join(rows(sizes, times))
    print(table)
    if asked.write:
        text = PAGE.read_text(encoding="utf-8")
        marked = re.compile(r"(<!-- measured -->\n\n).*?(\n\n<!-- end -->)", re.DOTALL)
        PAGE.write_text(marked.sub(rf"\g<1>{table}\g<2>", text), encoding="utf-8")
    assert sizes["labelloop"] <= MOST_MB, f"a base installation takes more than {MOST_MB} MB"
    assert times["import labelloop_capture"] <= MOST_IMPORT_MS, "importing the capture is too slow"
    try_demo(Environment("demo", "labelloop", "demo"))
    print("demo: three days in production, from the wheel")


if __name__ == "__main__":
    main()
