"""labelloop.toml -> Settings: read, with the environment filled in, and each fault explained."""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydantic import SecretStr, ValidationError, create_model

from labelloop.errors import ArgumentError, ConfigError, without_frames
from labelloop.settings.costs import CostSettings, PairSettings
from labelloop.settings.label_studio import LabelStudioSettings
from labelloop.settings.labelling_page import LabellingPageSettings
from labelloop.settings.mlflow import MlflowSettings
from labelloop.settings.notify import NotifySettings
from labelloop.settings.project import ClassSettings
from labelloop.settings.queue import UNPARSED, QueueSettings
from labelloop.settings.service import AuthSettings
from labelloop.settings.settings import Settings
from labelloop.settings.source import ColumnSettings, SourceSettings
from labelloop.settings.store import TagSettings
from labelloop.settings.values import SECONDS_OF, Section, Unset, taking_unset

FILE_NAME = "labelloop.toml"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRETS = {
    "access_key",
    "secret_key",
    "session_token",
    "proxy",
    "api_key",
    "ledger",
    "catalog",
    "secret",
    "webhook_secret",
}


def load(
    path: Path,
    environment: Mapping[str, str] | None = None,
    *,
    parse_conditions: bool = True,
) -> Settings:
    """The settings in the file at `path`; `${NAME}` stands for an environment variable.

    One that isn't set is an error once the setting is used, in sections that say how others are reached;
    elsewhere at once. Relative paths in [store] and [state] become absolute, from the file's folder.

    parse_conditions
        whether each `where` is checked, which takes longer than the rest

    Raises:
        ConfigError: the file is missing, isn't TOML, or holds what can't be used.
    """
    context = None if parse_conditions else UNPARSED
    with without_frames():  # no local may name the environment: a traceback could show it
        return _load(path, os.environ if environment is None else environment, context)


def _load(path: Path, environment: Mapping[str, str], context: str | None) -> Settings:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise ConfigError(
            f"there is no {path.name} in {path.resolve().parent}",
            remedy="let `labelloop init` write it, or give another path with --config PATH",
        ) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as exc:
        raise ConfigError(
            f"{path} can't be read as TOML: {exc}", remedy="correct that line"
        ) from exc
    filled = _fill(raw, environment, path, ())
    folder = path.resolve().parent
    _place_folders(filled, folder)
    for name in _MAY_BE_LEFT_OUT:
        filled.setdefault(name, {})  # quicker than a default, which is checked by itself
    try:
        settings = _kind(filled).model_validate(filled, context=context)
    except ValidationError as exc:
        raise _explain(exc, path, filled) from exc
    anchored = _anchored(settings, folder)
    anchored.set_apart_unset()
    return anchored


def _kind(raw: Mapping[str, Any]) -> type[Settings]:
    """The kind of settings that takes `raw`, in which the variables of some aren't set."""
    loose: dict[str, Any] = {}
    for name in _REACHED & raw.keys():
        section = _section_at((name,))
        held = raw[name] if isinstance(raw[name], list) else [raw[name]]
        unset = {k: v for one in held if isinstance(one, dict) for k, v in one.items()}
        kind: Any = taking_unset(section, {k: v for k, v in unset.items() if isinstance(v, Unset)})
        if kind is not section:
            loose[name] = (list[kind] if isinstance(raw[name], list) else kind, ...)
    return create_model("Settings", __base__=Settings, **loose) if loose else Settings


def _place_folders(raw: dict[str, Any], folder: Path) -> None:
    """Make file:// URIs of the folders in [store]; a relative path starts at `folder`."""
    store = raw.get("store")
    if not isinstance(store, dict):
        return
    for key in ("uri", "blind_uri"):
        if isinstance(store.get(key), str):
            store[key] = _place_folder(store[key], folder)
    if isinstance(store.get("was"), list):
        store["was"] = [_place_folder(v, folder) if isinstance(v, str) else v for v in store["was"]]


def _place_folder(value: str, folder: Path) -> str:
    if isinstance(value, Unset):
        return value
    if value.startswith("file:///"):
        value = unquote(value.removeprefix("file://"))
    elif not value or "://" in value or value.startswith(("s3:", "file:")):
        return value
    return Path(os.path.normpath(folder / os.path.expanduser(value))).as_uri()  # noqa: PTH111  an unknown ~user stays


def ledger_url(text: str, path: Path, environment: Mapping[str, str] | None = None) -> str:
    """What `[state] ledger = text` in the file at `path` would stand for.

    Raises:
        ConfigError: it names a variable that isn't set.
    """
    environment = os.environ if environment is None else environment
    filled = _fill(text, environment, path, ("state", "ledger"))
    if isinstance(filled, Unset):
        raise filled.error
    return _anchored_url(filled, path.resolve().parent)


_MAY_BE_LEFT_OUT = (
    "input",
    "state",
    "engine",
    "rounds",
    "gate",
    "people",
    "training",
    "service",
)
_REACHED = {"store", "source", "label_studio", "labelling_page", "engine", "state", "notify"}
"""The sections that say how others are reached."""


def _fill(value: Any, environment: Mapping[str, str], path: Path, where: tuple[str, ...]) -> Any:
    """The value with its variables filled in; a setting that names one that isn't set becomes Unset."""
    if isinstance(value, dict | list):
        filled: Any
        if isinstance(value, dict):
            filled = {k: _fill(v, environment, path, (*where, k)) for k, v in value.items()}
        else:
            filled = [_fill(v, environment, path, where) for v in value]
        held = filled.values() if isinstance(filled, dict) else filled
        unset = next((v for v in held if isinstance(v, Unset)), None)
        return filled if unset is None or len(where) < 2 else unset
    if not isinstance(value, str):
        return value
    if "\0" in value:
        raise ConfigError(
            f"{path}: {'.'.join(where)} contains a NUL character, which no path or name may hold",
            remedy="remove \\u0000 from that text",
        )
    unset_names = [name for name in _VARIABLE.findall(value) if not environment.get(name)]
    if unset_names:
        name = unset_names[0]
        error = ConfigError(
            f"{path}: {'.'.join(where)} names the environment variable {name}, which is "
            f"{'empty' if name in environment else 'not set'}",
            remedy=f"set {name}, or write the value in place of ${{{name}}}",
        )
        if where[0] not in _REACHED:
            raise error
        return Unset.because(error, value)
    return _VARIABLE.sub(lambda found: environment[found[1]], value)


def _explain(error: ValidationError, path: Path, raw: Mapping[str, Any]) -> ConfigError:
    """Every fault of the file in one error; the first one's remedy is the error's."""
    from importlib.metadata import version

    lines: list[str] = []
    remedy = ""
    known_here = ""  # a mistyped key explains what is missing, so it is the better remedy
    for fault in error.errors(include_url=False):
        loc = fault["loc"]
        name = _shown(loc, raw)
        if fault["type"] == "extra_forbidden":
            known = [f.alias or key for key, f in _section_at(loc[:-1]).model_fields.items()]
            near = get_close_matches(str(loc[-1]), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}? " if near else ""
            lines.append(f"unknown key {_placed(loc, raw)}")
            known_here = known_here or (
                f"{hint}labelloop {version('labelloop')} knows here: {', '.join(known)}"
            )
        elif fault["type"] == "missing":
            lines.append(f"{name} is missing")
            remedy = remedy or "add it; docs/reference/settings.md says what each setting means"
        else:
            cause = fault.get("ctx", {}).get("error")
            message = fault["msg"].removeprefix("Value error, ")
            if isinstance(cause, ArgumentError):
                message = cause.args[0] + (f"; {cause.remedy}" if remedy or known_here else "")
                remedy = remedy or cause.remedy
            secret = _SECRETS.intersection(loc[-1:]) or loc[:1] == ("notify",)
            if secret and fault["type"] == "too_short" and loc[-1] != "on":
                shortest = fault["ctx"]["min_length"]
                message = f"is too short: expected {shortest} characters or more"
            value = "" if secret else _value(loc, raw)
            mark = "" if message.startswith(("isn't ", "is too short: ")) else ":"
            lines.append(f"{name}{value}{mark} {message}" if name else message)
    text = lines[0] if len(lines) == 1 else "".join(f"\n  - {line}" for line in lines)
    return ConfigError(
        f"{path}: {text}",
        remedy=known_here or remedy or "docs/reference/settings.md says what each setting may be",
    )


def _shown(loc: tuple[int | str, ...], raw: Mapping[str, Any]) -> str:
    if len(loc) > 1 and loc[0] == "queue" and isinstance(loc[1], int):
        queue = raw["queue"][loc[1]]
        named = queue.get("name", loc[1] + 1) if isinstance(queue, dict) else loc[1] + 1
        *key, last = loc[2:] or ("",)
        if key and isinstance(last, int):
            return f"queue {named!r} {'.'.join(str(p) for p in key)}, entry {last + 1}"
        return " ".join((f"queue {named!r}", ".".join(str(p) for p in loc[2:]))).strip()
    return ".".join(str(part) for part in loc)


def _placed(loc: tuple[int | str, ...], raw: Mapping[str, Any]) -> str:
    """An unknown key, and the queue that it stands in."""
    if len(loc) > 2 and loc[0] == "queue":
        return f"{'.'.join(str(p) for p in loc[2:])!r} in {_shown(loc[:2], raw)}"
    return _shown(loc, raw)


def _section_at(loc: tuple[int | str, ...]) -> type[Section]:
    section: type[Section] = Settings
    for part in loc:
        if isinstance(part, int):
            continue
        named = {
            "queue": QueueSettings,
            "source": SourceSettings,
            "label_studio": LabelStudioSettings,
            "labelling_page": LabellingPageSettings,
            "class": ClassSettings,
            "costs": CostSettings,
            "mlflow": MlflowSettings,
            "pair": PairSettings,
            "notify": NotifySettings,
        }
        section = named.get(part) or section.model_fields[part].annotation  # type: ignore[assignment]
    return section


def _value(loc: tuple[int | str, ...], raw: Any) -> str:
    for part in loc:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return ""
    if isinstance(raw, dict | list):
        return ""
    return " = " + re.sub(r"[^/'\"\s]+@", "***@", repr(raw))


def _anchored(settings: Settings, folder: Path) -> Settings:
    """The settings with absolute paths; what isn't set stays so."""

    def secret(url: SecretStr) -> SecretStr:
        return SecretStr(_anchored_url(url.get_secret_value(), folder))

    def place(text: str) -> str:
        return text if not text or "://" in text else str((folder / text).resolve())

    def file(path: Path) -> Path:
        return (folder / path).resolve()

    how: dict[str, dict[str, Callable[[Any], object]]] = {
        "state": {"ledger": secret, "catalog": secret, "warehouse": place, "datasets": file},
        "source": {"uri": place, "catalog": secret},
        "store": {"notifications": file},
        "labelling_page": {"answers": secret},
    }
    anchored: dict[str, Section] = {}
    for name, keys in how.items():
        section: Section | None = getattr(settings, name)
        if section is None:
            continue
        held = {key: getattr(section, key) for key in keys}
        update = {
            key: keys[key](value)
            for key, value in held.items()
            if value is not None and not isinstance(value, Unset)
        }
        anchored[name] = section.model_copy(update=update)
    queues = [
        q if q.guidelines is None else q.model_copy(update={"guidelines": file(q.guidelines)})
        for q in settings.queue
    ]
    return settings.model_copy(update={**anchored, "queue": queues}).at(folder)


def _anchored_url(url: str, folder: Path) -> str:
    start = "sqlite:///"
    if url.startswith(start) and not url.startswith(start + "/"):
        return start + str((folder / url.removeprefix(start)).resolve())
    return url


def reference() -> str:
    """The settings as Markdown: one table a section, from the declarations above."""
    parts: list[str] = []
    for key, field in Settings.model_fields.items():
        name = field.alias or key
        section = _section_at((name,))
        lists = {QueueSettings, ClassSettings, NotifySettings}
        title = f"[[{name}]]" if section in lists else f"[{name}]"
        parts += _section_markdown(title, section)
        if name == "store":
            parts += _section_markdown("[store.tags]", TagSettings)
        if name == "costs":
            parts += _section_markdown("[[costs.pair]]", PairSettings)
        if name == "source":
            parts += _section_markdown("[source.columns]", ColumnSettings)
        if name == "service":
            parts += _section_markdown("[service.auth]", AuthSettings)
    return "\n".join(parts)


def _section_markdown(title: str, section: type[Section]) -> list[str]:
    lines = [f"## `{title}`", "", section.__doc__ or "", "", "| key | default | meaning |"]
    lines.append("| --- | --- | --- |")
    for key, field in section.model_fields.items():
        if key in {"tags", "columns", "auth"}:
            continue
        if field.is_required():
            default = "required"
        else:
            default = _default_text(field.get_default(call_default_factory=True))
        lines.append(f"| `{key}` | {default} | {field.description} |")
    return [*lines, ""]


def _default_text(value: object) -> str:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, timedelta):
        for unit in ("day", "hour", "minute", "second"):
            n, rest = divmod(value.total_seconds(), SECONDS_OF[unit])
            if n and not rest:
                return f"`{n:g} {unit}{'s' if n != 1 else ''}`"
    if value is None or value == [] or value == {}:
        return "none"
    return f"`{value}`"
