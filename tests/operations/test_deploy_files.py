"""The files of deploy/: generated files match the Procfile, and each is valid for the tool that reads it."""

import configparser
import re
import shutil
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from longtasks.local_stack.procfile import read_procfile
from settings.env import ROOT, list_variables, load
from tests.security.marks import MARKED

DEPLOY = ROOT / "deploy"
STOP_SECONDS = 40  # deploy/generate.py's
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
# Kubernetes's schemas do not contain KEDA's ScaledObject: its required fields, by KEDA's documentation.
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


def test_generated_files_match_the_procfile() -> None:
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
        command = " ".join(container["args"])
        assert command.removeprefix("/bin/sh -c ").removeprefix("exec ") == read_procfile()[role]
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        assert "livenessProbe" in container or role == "webhooks"  # which depends on nothing that could hang
        stop = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
        assert spec["template"]["spec"]["terminationGracePeriodSeconds"] >= int(stop[1]) + STOP_SECONDS
        assert spec["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"] == spec["selector"]
        assert role in budgets
    assert "readinessProbe" in deployments["longtasks-web"]["template"]["spec"]["containers"][0]
    scaled = [each["spec"]["scaleTargetRef"]["name"] for each in found if each["kind"] == "ScaledObject"]
    assert scaled == ["longtasks-worker"]


def pods() -> dict[str, dict[str, Any]]:
    """Return the specification of every pod, by the name of its owner."""
    found = {}
    for each in all_documents():
        spec = each.get("spec", {})
        spec = spec["jobTemplate"]["spec"] if each["kind"] == "CronJob" else spec
        if "template" in spec:
            found[each["metadata"]["name"]] = spec["template"]["spec"]
    return found


@pytest.mark.parametrize("name", pods())
def test_every_pod_has_the_least_privileges(name: str) -> None:
    """Kubernetes' "restricted" standard, a read-only root, and every variable of ConfigMap and Secret."""
    pod = pods()[name]
    user = {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001}
    assert pod["securityContext"] == {**user, "seccompProfile": {"type": "RuntimeDefault"}}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert all(volume["emptyDir"].keys() == {"medium", "sizeLimit"} for volume in pod["volumes"])
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert "command" not in container  # it would replace the image's tini, which reaps orphans
        assert re.fullmatch(r"longtasks:\d+\.\d+\.\d+", container["image"])
        assert container["envFrom"] == [{"configMapRef": {"name": "longtasks"}}, {"secretRef": {"name": "longtasks"}}]
        assert {each["mountPath"] for each in container["volumeMounts"]} == {"/var/lib/longtasks", "/tmp"}
        assert "memory" in container["resources"]["limits"]


def test_every_variable_is_in_the_configmap_or_the_secret() -> None:
    """Set, or commented out with its default; secrets are in the Secret. settings/env.py accepts each set value."""
    texts = {name: (DEPLOY / "kubernetes" / f"{name}.yaml").read_text() for name in ("configmap", "secret")}
    named = {name: re.findall(r"^  (?:# )?([A-Z][A-Z_]+): ", text, re.MULTILINE) for name, text in texts.items()}
    assert sorted(named["configmap"] + named["secret"]) == sorted(
        ["DJANGO_SETTINGS_MODULE", *(variable.name for variable in list_variables())]
    )
    assert set(MARKED) & {variable.name for variable in list_variables()} == set(named["secret"])
    values = {}
    for name, key in (("configmap", "data"), ("secret", "stringData")):
        values |= yaml.safe_load(texts[name])[key]
        # The same with every comment uncommented, which are the defaults.
        whole = yaml.safe_load(re.sub(r"^  # ([A-Z][A-Z_]+: )", r"  \1", texts[name], flags=re.MULTILINE))[key]
        defaults = {variable.name: variable.default for variable in list_variables()}
        assert {each: whole[each] for each in whole.keys() - values.keys()} == {
            each: defaults[each] for each in whole.keys() - values.keys()
        }
    assert all(isinstance(value, str) for value in values.values())
    loaded = load(environment=values)
    assert loaded.process.database_password == "replace-me"
    assert [str(ip_network(each)) for each in loaded.process.forwarded_allow_ips.split(",")] == ["10.0.0.0/8"]


def test_every_grace_period_covers_the_slowest_process() -> None:
    """web answers held requests at once and all others within gunicorn's graceful_timeout."""
    [graceful] = re.findall(
        r"^graceful_timeout = (\d+)$", (ROOT / "longtasks" / "gunicorn.py").read_text(), re.MULTILINE
    )
    assert int(graceful) < STOP_SECONDS
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    for role in read_procfile():
        assert services[role]["stop_grace_period"] == f"{STOP_SECONDS}s"
        assert f"\nTimeoutStopSec={STOP_SECONDS}\n" in (DEPLOY / "systemd" / f"longtasks-{role}.service").read_text()
    assert (DEPLOY / "supervisord.conf").read_text().count(f"\nstopwaitsecs={STOP_SECONDS}\n") == len(read_procfile())


def test_base_images_are_pinned_and_can_be_pinned_by_digest() -> None:
    """The digest itself is unknown here: docs/operations.md has the command that prints it."""
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    [default] = re.findall(r"^ARG PYTHON_IMAGE=(python:\d+\.\d+\.\d+-slim-\w+)$", dockerfile, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
    compose = (DEPLOY / "compose.yaml").read_text()
    assert f"PYTHON_IMAGE: ${{PYTHON_IMAGE:-{default}}}" in compose
    manual = (ROOT / "docs" / "operations.md").read_text()
    for image in [default, *re.findall(r"\{\w+_IMAGE:-(\w+:[\d.]+)\}", compose)]:
        assert image in manual, image


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


def test_docker_compose_accepts_the_file() -> None:
    known = shutil.which("docker") and subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False
    )
    if not known or known.returncode:
        pytest.skip("`docker compose` is not installed: only the structure of deploy/compose.yaml is checked")
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
        "PYTHONDONTWRITEBYTECODE", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_SERVICE_NAME",
    }  # fmt: skip
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    names = {name for role in read_procfile() for name in compose[role]["environment"]}
    for document in all_documents():
        if document["kind"] in ("ConfigMap", "Secret"):
            names |= set(document.get("data", {})) | set(document.get("stringData", {}))
    assert names - known == set()


def test_recommended_configurations_meet_the_doctors_checks() -> None:
    redis = (DEPLOY / "redis.conf").read_text()
    for line in (
        "appendonly yes", "appendfsync always", "maxmemory-policy noeviction", "hash-max-listpack-value 512",
    ):  # fmt: skip
        assert f"\n{line}\n" in redis
    mariadb = (DEPLOY / "mariadb.cnf").read_text()
    for line in ("innodb_flush_log_at_trx_commit = 1", "transaction_isolation = READ-COMMITTED"):
        assert f"\n{line}\n" in mariadb
