"""The OpenAPI document agrees with the API, and its pages load without a CDN."""

import re
from typing import Any

import jsonschema
import pytest
from django.core.management import call_command
from django.test import Client

from tasks_app.api.urls import urlpatterns
from tests.api.conftest import Post

EMPTY = {"204", "304"}
OPTIONAL_BODIES = {"pauseQueue", "createStreamTicket"}
OTHER_MEDIA_TYPES = {
    "listTaskFailures": {"application/json", "text/csv"},
    "downloadFile": {"application/octet-stream"},
    "downloadArtifact": {"application/octet-stream"},
}


@pytest.fixture
def schema(client: Client) -> dict[str, Any]:
    response = client.get("/schema")
    assert response.status_code == 200
    assert "openapi+json" in response["Content-Type"]
    return response.json()


def validate(schema: dict[str, Any], component: str, data: Any) -> None:
    document = {"$ref": f"#/components/schemas/{component}", "components": schema["components"]}
    jsonschema.Draft202012Validator(document).validate(data)


def test_the_document_is_valid_and_raises_no_warning(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))


def test_the_document_is_openapi_3_1_and_covers_every_route(schema: dict[str, Any]) -> None:
    assert schema["openapi"].startswith("3.1")
    routes = {f"/{pattern.pattern}" for pattern in urlpatterns}
    described = {path.replace("{", "<str:").replace("}", ">") for path in schema["paths"]}
    assert routes - described == {"/schema", "/docs", "/metrics"}
    assert described <= routes


def test_no_alternative_of_one_of_accepts_every_value(schema: dict[str, Any]) -> None:
    """A value that two alternatives accept is invalid: `oneOf` of "any value" and null refuses null."""

    def find(node: Any, path: str) -> list[str]:
        if isinstance(node, list):
            return [each for i, item in enumerate(node) for each in find(item, f"{path}/{i}")]
        if not isinstance(node, dict):
            return []
        own = [path] if {} in node.get("oneOf", []) else []
        return own + [each for key, item in node.items() for each in find(item, f"{path}/{key}")]

    assert find(schema, "#") == []


def test_a_body_is_required_wherever_one_is_described(schema: dict[str, Any]) -> None:
    bodies = {
        operation["operationId"]: operation["requestBody"].get("required", False)
        for path in schema["paths"].values()
        for operation in path.values()
        if "requestBody" in operation
    }
    assert {name for name, is_required in bodies.items() if not is_required} == OPTIONAL_BODIES
    assert bodies["uploadFile"]


def test_every_operation_describes_codes_headers_and_examples(schema: dict[str, Any]) -> None:
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations) >= 12
    for operation in operations:
        assert operation["summary"]
        for code, response in operation["responses"].items():
            assert response["description"], (operation["operationId"], code)
            assert "X-Request-ID" in response["headers"]
            if code in EMPTY:
                assert "content" not in response
                continue
            assert all(content["examples"] for content in response["content"].values())
            answered = OTHER_MEDIA_TYPES.get(operation["operationId"], {"application/json"})
            assert set(response["content"]) == (answered if code < "400" else {"application/problem+json"})
            if code == "503":
                assert "Retry-After" in response["headers"]


def test_every_example_fits_its_schema(schema: dict[str, Any]) -> None:
    checked = 0
    for path in schema["paths"].values():
        for operation in path.values():
            for part in [operation.get("requestBody", {}), *operation["responses"].values()]:
                for content in part.get("content", {}).values():
                    for example in content["examples"].values():
                        document = {**content["schema"], "components": schema["components"]}
                        jsonschema.Draft202012Validator(document).validate(example["value"])
                        checked += 1
    assert checked > 50


@pytest.mark.django_db
def test_real_answers_fit_the_schema(schema: dict[str, Any], client: Client, post: Post, mirror: Any) -> None:
    started = post("/tasks", {"name": "upload"}).json()
    validate(schema, "StartedTask", started)
    mirror()
    validate(schema, "Task", client.get(f"/tasks/{started['id']}").json())
    validate(schema, "Page", client.get("/tasks").json())
    validate(schema, "History", client.get(f"/tasks/{started['id']}/events").json())
    validate(schema, "Queues", client.get("/queues").json())
    validate(schema, "TaskTypes", client.get("/task-types").json())
    for path, component in (("/tasks", "Page"), ("/queues", "Queues"), ("/task-types", "TaskTypes")):
        described = schema["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert described == {"$ref": f"#/components/schemas/{component}"}
    validate(schema, "BulkAnswer", post("/tasks/bulk", {"tasks": [{"name": "upload"}]}).json())
    validate(schema, "Problem", post("/tasks", {}).json())


@pytest.mark.parametrize(
    ("body", "good"),
    [
        ({"name": "upload"}, True), ({"name": "upload", "params": {"numRecords": 1}}, True), ({"name": "purge"}, False),
        ({"name": "upload", "params": {"taskId": "x"}}, False), ({"name": "x"}, False), ({"name": "upload", "more": 1}, False),
        ({"name": "upload", "dryRun": True}, False), ({"name": "upload", "maxFailures": 1}, False),
        ({"name": "upload", "dryRun": False, "maxFailures": 0}, True), ({"name": "normalise_user_phones", "dryRun": True}, True),
        ({"name": "normalise_user_phones", "maxFailures": "0.0%"}, False),
        ({"name": "normalise_user_phones", "maxFailures": "1%"}, True),
        ({"name": "upload", "params": {"numRecords": "1"}}, False), ({"name": "upload", "params": {"numRecords": 0}}, False),
    ],
)  # fmt: skip
def test_the_schema_accepts_what_the_api_accepts(schema: dict[str, Any], post: Post, body: Any, good: bool) -> None:
    document = {"$ref": "#/components/schemas/NewTask", "components": schema["components"]}
    assert jsonschema.Draft202012Validator(document).is_valid(body) is good
    assert (post("/tasks", body).status_code == 201) is good


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/docs", "/docs/"])
def test_docs_load_from_this_host_only(client: Client, path: str) -> None:
    response = client.get(path, headers={"Accept": "text/html"})
    assert response.status_code == 200
    page = response.content.decode()
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert sources
    assert not [source for source in sources if source.startswith(("http:", "https:", "//"))]
    assert client.get("/docs?script=").status_code == 200
    for source in sources:
        if source.startswith("/static/"):
            file = client.get(source)
            assert file.status_code == 200
            file.close()


def test_a_text_with_nul_is_refused_and_the_description_says_so(schema: dict[str, Any], post: Post) -> None:
    body = {"name": "upload", "description": "a\0b"}
    assert post("/tasks", body).status_code == 400
    with pytest.raises(jsonschema.ValidationError):
        validate(schema, "NewTask", body)
    validate(schema, "NewTask", {**body, "description": "a\nb"})
    (by_name,) = (each for each in schema["paths"]["/tasks"]["get"]["parameters"] if each["name"] == "name")
    assert "u0000" in by_name["schema"]["pattern"]
