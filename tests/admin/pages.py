"""The addresses of the admin's pages, and how tests read them."""

import json

from django.test import Client

LIST = "/admin/tasks_app/taskrecord/"


def page(task_id: str, action: str = "") -> str:
    return f"{LIST}{task_id}/" + (f"{action}/" if action else "")


def get(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
    return answer.content.decode()


def parts(client: Client, address: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(get(client, address))["parts"]
    return found
