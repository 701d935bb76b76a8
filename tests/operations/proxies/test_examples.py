"""The examples in deploy/proxy name the stream's path and the services that exist."""

import re

import pytest
import yaml

from settings.env import ROOT
from tests.operations.proxies.proxy_processes import EXAMPLES, HOST


@pytest.mark.parametrize(
    "name", ["nginx.conf", "nginx-subpath.conf", "haproxy.cfg", "Caddyfile", "traefik.yaml", "ingress.yaml"]
)
def test_each_example_sends_every_path_to_web(name: str) -> None:
    text = (EXAMPLES / name).read_text()
    assert not re.search(r":(?!80\b|443\b|3000\b)\d{2,5}\b", text), "another port than web's"
    assert HOST in text or name == "haproxy.cfg"
    assert f"proxy/{name}" in (ROOT / "docs" / "proxies.md").read_text()


def test_the_ingress_names_existing_services() -> None:
    services = {
        (each["metadata"]["name"], port["name"])
        for path in (ROOT / "deploy" / "kubernetes").glob("*.yaml")
        for each in yaml.safe_load_all(path.read_text())
        if each and each.get("kind") == "Service"
        for port in each["spec"]["ports"]
    }
    named = {
        (path["backend"]["service"]["name"], path["backend"]["service"]["port"]["name"])
        for each in yaml.safe_load_all((EXAMPLES / "ingress.yaml").read_text())
        for rule in each["spec"]["rules"]
        for path in rule["http"]["paths"]
    }
    assert named == {("longtasks-web", "http")}
    assert named <= services
    assert yaml.safe_load((EXAMPLES / "traefik.yaml").read_text())["http"]["routers"]
