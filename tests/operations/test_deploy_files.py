"""The files of deploy/: what is generated fits the Procfile, and each is valid for the tool that reads it."""

import configparser
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from longtasks.stack import read_procfile
from settings.env import ROOT, list_variables

DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
# Kubernetes's own schemas do not know what KEDA adds: what its ScaledObject must hold, by KEDA's documentation.
SCALED_OBJECT = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "keda.sh/v1alpha1"},
        "spec": {
            "type": "object",
            "required": ["scaleTargetRef", "triggers"],
            "properties": {
                "scaleTargetRef": {"type": "object", "required": ["name"]},
                "minReplicaCount": {"type": "integer", "minimum": 0},
                "maxReplicaCount": {"type": "integer", "minimum": 1},
                "triggers": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["type", "metadata"],
                        "properties": {
                            "metadata": {
                                "type": "object",
                                "required": ["listName", "listLength"],
                                "additionalProperties": {"type": "string"},
                            }
                        },
                    },
                },
            },
        },
    },
}


def documents(path: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def all_documents() -> list[dict[str, Any]]:
    return [each for path in MANIFESTS if path.name != "kustomization.yaml" for each in documents(path)]


def test_generated_files_are_what_the_procfile_says() -> None:
    checked = subprocess.run(
        [sys.executable, "deploy/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_supervisord_runs_every_process_of_the_procfile() -> None:
    parser = configparser.RawConfigParser(strict=True)
    parser.read(DEPLOY / "supervisord.conf")
    programs = {
        name.removeprefix("program:"): parser[name]["command"] for name in parser if name.startswith("program:")
    }
    assert programs.keys() == read_procfile().keys()
    for name, command in read_procfile().items():
        assert f"exec {command}" in programs[name]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for path in (DEPLOY / "systemd").iterdir():
        text = path.read_text()
        # Newer than this machine's systemd may be; it would say so and go on.
        (tmp_path / path.name).write_text(re.sub(r"^Restart(Steps|MaxDelaySec)=.*\n", "", text, flags=re.MULTILINE))
    units = [str(path) for path in tmp_path.glob("*.service")]
    checked = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    complaints = [line for line in checked.stderr.splitlines() if str(tmp_path) in line]
    assert complaints == []


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_fit_the_schema(path: Path) -> None:
    import jsonschema
    import kubernetes_validate

    for document in documents(path):
        if document["apiVersion"].startswith("keda.sh/"):
            jsonschema.validate(document, SCALED_OBJECT)
        elif document["kind"] != "Kustomization":
            kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_the_schema_check_can_fail() -> None:
    import kubernetes_validate

    [deployment] = [each for each in all_documents() if each["metadata"]["name"] == "longtasks-web"][:1]
    deployment["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, kubernetes_validate.latest_version(), strict=True)


def test_every_process_is_deployed_with_probes_resources_and_a_budget() -> None:
    found = all_documents()
    deployments = {each["metadata"]["name"]: each["spec"] for each in found if each["kind"] == "Deployment"}
    assert {name.removeprefix("longtasks-") for name in deployments} == read_procfile().keys()
    budgets = {
        each["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]
        for each in found
        if each["kind"] == "PodDisruptionBudget"
    }
    for name, spec in deployments.items():
        role = name.removeprefix("longtasks-")
        [container] = spec["template"]["spec"]["containers"]
        command = " ".join(container["command"])
        assert command.removeprefix("/bin/sh -c ").removeprefix("exec ") == read_procfile()[role]
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        assert "livenessProbe" in container or role == "webhooks"  # which waits for nothing that could hang it
        assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > 30
        assert role in budgets
    assert "readinessProbe" in deployments["longtasks-web"]["template"]["spec"]["containers"][0]
    scaled = [each["spec"]["scaleTargetRef"]["name"] for each in found if each["kind"] == "ScaledObject"]
    assert scaled == ["longtasks-worker"]


def test_kustomization_lists_every_manifest() -> None:
    listed = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == [path.name for path in MANIFESTS if path.name != "kustomization.yaml"]


def test_compose_runs_every_process() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    for name, command in read_procfile().items():
        assert " ".join(services[name]["command"]).removeprefix("/bin/sh -c ").replace("$$", "$") in (
            command, f"exec {command}",
        )  # fmt: skip
        assert services[name]["restart"] == "unless-stopped"


def test_docker_compose_takes_the_file() -> None:
    known = shutil.which("docker") and subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False
    )
    if not known or known.returncode:
        pytest.skip("`docker compose` is not installed: deploy/compose.yaml is checked by its structure only")
    checked = subprocess.run(
        ["docker", "compose", "-f", str(DEPLOY / "compose.yaml"), "config", "--quiet"],
        env={"PATH": "/usr/bin:/usr/local/bin", "SECRET_KEY": "x" * 50, "ALLOWED_HOSTS": "x", "MARIADB_PASSWORD": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_deploy_files_set_known_variables_only() -> None:
    known = {variable.name for variable in list_variables()} | {
        "DJANGO_SETTINGS_MODULE", "ENV_FILE", "PATH", "PYTHONUNBUFFERED", "PROMETHEUS_MULTIPROC_DIR",
        "PYTHONDONTWRITEBYTECODE",
    }  # fmt: skip
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    names = {name for role in read_procfile() for name in compose[role]["environment"]}
    for document in all_documents():
        if document["kind"] in ("ConfigMap", "Secret"):
            names |= set(document.get("data", {})) | set(document.get("stringData", {}))
    assert names - known == set()


def test_recommended_configurations_hold_what_the_doctor_asks_for() -> None:
    redis = (DEPLOY / "redis.conf").read_text()
    for line in (
        "appendonly yes", "appendfsync always", "maxmemory-policy noeviction", "hash-max-listpack-value 512",
    ):  # fmt: skip
        assert f"\n{line}\n" in redis
    mariadb = (DEPLOY / "mariadb.cnf").read_text()
    for line in ("innodb_flush_log_at_trx_commit = 1", "transaction_isolation = READ-COMMITTED"):
        assert f"\n{line}\n" in mariadb


def metric_names_in(text: str) -> set[str]:
    return set(re.findall(r"longtasks_[a-z_]+", text))


@pytest.mark.django_db
def test_dashboard_and_alerts_name_metrics_that_exist(client: Any) -> None:
    client.get("/health/live")
    text = client.get("/metrics").content.decode()
    families = set(re.findall(r"^# TYPE (longtasks_\w+) (\w+)$", text, re.MULTILINE))
    known = set()
    for name, kind in families:
        known |= {name} if kind != "histogram" else {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    rules = yaml.safe_load((DEPLOY / "grafana" / "alerts.yaml").read_text())
    expressions += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    assert len(expressions) > 20
    used = set().union(*map(metric_names_in, expressions))
    assert used - known == set()


def test_every_alert_says_why_and_what_to_do() -> None:
    manual = (ROOT / "docs" / "operations.md").read_text()
    rules = yaml.safe_load((DEPLOY / "grafana" / "alerts.yaml").read_text())
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert alerts
    for rule in alerts:
        assert rule["annotations"]["why"]
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert f"### {rule['alert']}\n" in manual, rule["alert"]
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_takes_the_rules() -> None:
    checked = subprocess.run(
        ["promtool", "check", "rules", str(DEPLOY / "grafana" / "alerts.yaml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
