"""deploy/grafana/: alerts, dashboard and scrape configuration name existing metrics, and count tasks once for all pods."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from settings.env import ROOT

GRAFANA = ROOT / "deploy" / "grafana"
HAS_PROMTOOL = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
# Metrics of tasks, queues and workers come from Redis and are equal in every web pod; those of requests are per pod.
ONCE = re.compile(r"(?:max without \(instance, pod\) \((?:(?:rate|increase)\()?|min by \(store\) \(|absent\()$")
TWO_PODS = """
rule_files: [alerts.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - { series: 'longtasks_tasks_rescued_total{pod="a",queue="low",type="upload"}', values: '0+0.4x30' }
      - { series: 'longtasks_tasks_rescued_total{pod="b",queue="low",type="upload"}', values: '0+0.4x30' }
      - { series: 'longtasks_queue_paused{pod="a",queue="low"}', values: '1x2000' }
      - { series: 'longtasks_queue_paused{pod="b",queue="low"}', values: '1x2000' }
    alert_rule_test:
      - { alertname: WorkersDie, eval_time: 25m }
    promql_expr_test:
      - expr: count(ALERTS{alertname="QueuePausedLong",alertstate="firing"})
        eval_time: 25h
        exp_samples: [{ value: 1 }]
"""


def all_expressions() -> list[str]:
    dashboard = json.loads((GRAFANA / "dashboard.json").read_text())
    rules = yaml.safe_load((GRAFANA / "alerts.yaml").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])] + [
        rule["expr"] for group in rules["groups"] for rule in group["rules"]
    ]


def promtool(*words: str) -> None:
    checked = subprocess.run(["promtool", *words], cwd=GRAFANA, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_metrics_that_every_pod_reports_are_counted_once() -> None:
    for expression in all_expressions():
        for found in re.finditer(r"longtasks_(?!http_)", expression):
            assert ONCE.search(expression[: found.start()]), expression


@HAS_PROMTOOL
def test_two_pods_raise_one_alert_and_count_one_death(tmp_path: Path) -> None:
    shutil.copy(GRAFANA / "alerts.yaml", tmp_path)
    (tmp_path / "two_pods.yaml").write_text(TWO_PODS)
    promtool("test", "rules", str(tmp_path / "two_pods.yaml"))


@HAS_PROMTOOL
def test_promtool_accepts_the_scrape_configuration(tmp_path: Path) -> None:
    text = (GRAFANA / "prometheus.yaml").read_text()
    # Debian's Prometheus lacks Kubernetes' service discovery, so a static configuration replaces it.
    [elsewhere] = re.findall(r"# Elsewhere, in place of both: (static_configs: .*)$", text, re.MULTILINE)
    text = re.sub(r"(?ms)^    kubernetes_sd_configs:.*?(?=^    # Elsewhere)", f"    {elsewhere}\n", text)
    [token_path] = re.findall(r"credentials_file: (\S+)", text)
    (tmp_path / "token").write_text("lt_x")
    shutil.copy(GRAFANA / "alerts.yaml", tmp_path)
    (tmp_path / "prometheus.yaml").write_text(text.replace(token_path, str(tmp_path / "token")))
    promtool("check", "config", str(tmp_path / "prometheus.yaml"))


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
    expressions = all_expressions()
    assert len(expressions) > 20
    used = set().union(*map(metric_names_in, expressions))
    assert used - known == set()


def test_every_alert_has_a_cause_and_an_action() -> None:
    manual = (ROOT / "docs" / "operations.md").read_text()
    rules = yaml.safe_load((GRAFANA / "alerts.yaml").read_text())
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert alerts
    for rule in alerts:
        assert rule["annotations"]["why"]
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert f"### {rule['alert']}\n" in manual, rule["alert"]
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"


@HAS_PROMTOOL
def test_promtool_accepts_the_rules() -> None:
    promtool("check", "rules", str(GRAFANA / "alerts.yaml"))
