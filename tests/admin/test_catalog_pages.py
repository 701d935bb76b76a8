"""The rows that tasks wrote: paged by key, read-only."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.models import MODELS
from tests.admin.conftest import VIEW, MakeClient
from tests.admin.pages import get
from tests.catalog.conftest import upload

pytestmark = pytest.mark.django_db(transaction=True)


def test_lists_of_rows_page_by_key(make_client: MakeClient) -> None:
    task_id = upload(records=120)
    upload(records=5)
    client = make_client(VIEW, "view_user", "view_product", "view_orderitem")
    for model in MODELS:
        address = f"/admin/catalog/{model._meta.model_name}/"
        with CaptureQueriesContext(connection) as captured:
            shown = get(client, address)
        assert len(captured) <= 5
        assert not any("COUNT(" in one["sql"] for one in captured)
        assert shown.count('<th scope="row"') == 50
        seen, cursor = 0, "0"
        address += f"?task={task_id}"
        while True:
            shown = get(client, address)
            seen += shown.count('<th scope="row"')
            if 'rel="next"' not in shown:
                break
            cursor = shown.split('rel="next" href="')[1].split("cursor=")[1].split('"')[0]
            address = f"/admin/catalog/{model._meta.model_name}/?task={task_id}&cursor={cursor}"
        assert seen == 120


def test_rows_are_read_only(make_client: MakeClient) -> None:
    upload(records=1)
    client = make_client("view_user")
    row = MODELS[0].objects.get()
    shown = get(client, f"/admin/catalog/user/{row.pk}/change/")
    assert 'name="_save"' not in shown
    assert client.post(f"/admin/catalog/user/{row.pk}/change/", {"city": "x"}).status_code == 403
    assert client.get("/admin/catalog/user/add/").status_code == 403
    assert client.get("/admin/catalog/product/").status_code in (302, 403)
