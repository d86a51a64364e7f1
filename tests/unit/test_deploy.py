"""The files to deploy with are what their readers take, and name what labelloop has."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from labelloop.cli.main import COMMANDS
from labelloop.settings.file import load

DEPLOY = Path(__file__).parents[2] / "deploy"
SOURCE = Path(__file__).parents[2] / "src" / "labelloop"
VARIABLES = re.compile(r"\$\{([A-Z_0-9]+)")


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")))


def metrics_served() -> set[str]:
    text = (SOURCE / "web" / "metrics.py").read_text(encoding="utf-8")
    names = set(re.findall(r'"(labelloop_\w+)"', text))
    return names | {f"labelloop_accuracy_{name}" for name in ("estimate", "low", "high")}


def metrics_named(text: str) -> set[str]:
    return set(re.findall(r"\blabelloop_\w+", text))


def test_the_settings_for_containers_load(tmp_path: Path) -> None:
    text = (DEPLOY / "labelloop.toml").read_text(encoding="utf-8")
    compose = documents("compose.yaml")[0]["services"]["labelloop"]["environment"]
    named = set(VARIABLES.findall(text))
    assert named == set(compose), "compose.yaml sets each variable that the settings name"
    path = tmp_path / "labelloop.toml"
    path.write_text(text)
    values = dict.fromkeys(named, "made-up") | {
        name: "http://127.0.0.1:1" for name in named if name.endswith("URL")
    }
    settings = load(path, values)
    settings.require_variables()
    state = tomllib.loads(text)["state"]
    kept = [value for name, value in state.items() if name != "ledger"]
    assert all("/state" in value for value in kept), "what is kept lies in the volume"


def test_compose_runs_labelloop_without_rights() -> None:
    compose = documents("compose.yaml")[0]
    own = compose["services"]["labelloop"]
    assert (own["read_only"], own["cap_drop"], own["user"]) == (True, ["ALL"], "10001:10001")
    named = {
        volume.partition(":")[0] for s in compose["services"].values() for volume in s["volumes"]
    }
    assert {name for name in named if not name.startswith(".")} == set(compose["volumes"])
    wanted = set(VARIABLES.findall((DEPLOY / "compose.yaml").read_text(encoding="utf-8")))
    given = set(re.findall(r"^(\w+)=", (DEPLOY / "compose.env").read_text(), re.MULTILINE))
    assert wanted - {"LABELLOOP_IMAGE"} == given
    ports = [port for s in compose["services"].values() for port in s.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in ports), "nothing is open to the network"


@pytest.mark.parametrize("name", ["labelloop.yaml", "cronjob.yaml"])
def test_manifests_run_labelloop_without_rights(name: str) -> None:
    pods = []
    for made in documents(f"kubernetes/{name}"):
        spec = made["spec"]
        if made["kind"] == "Deployment":
            pods.append(spec["template"]["spec"])
        elif made["kind"] == "CronJob":
            pods.append(spec["jobTemplate"]["spec"]["template"]["spec"])
    (pod,) = pods
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["args"][0] in COMMANDS
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted == {"state": "/state", "settings": "/config", "tmp": "/tmp"}  # noqa: S108
    assert {volume["name"] for volume in pod["volumes"]} == set(mounted)


def test_the_image_runs_as_nobody_and_keeps_its_state_in_one_volume() -> None:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    last = text[text.rindex("\nFROM ") :]
    assert "\nUSER 10001:10001\n" in last
    assert re.findall(r"^VOLUME (.*)$", last, re.MULTILINE) == ["/state"]
    assert text.count("ARG BASE") == 1


def test_dashboard_and_alerts_ask_for_metrics_that_are_served() -> None:
    board = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text(encoding="utf-8"))
    asked = " ".join(t["expr"] for panel in board["panels"] for t in panel["targets"])
    rules = documents("grafana/alerts.yaml")[0]["groups"][0]["rules"]
    asked += " " + " ".join(rule["expr"] for rule in rules)
    assert metrics_named(asked)
    assert metrics_named(asked) <= metrics_served()
    assert all(rule["annotations"]["summary"] for rule in rules)
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_the_unit_gives_no_right_that_it_doesnt_need() -> None:
    text = (DEPLOY / "labelloop.service").read_text(encoding="utf-8")
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "StateDirectory=labelloop"):
        assert f"\n{line}\n" in text
    assert "ExecStart=/opt/labelloop/bin/labelloop serve" in text
