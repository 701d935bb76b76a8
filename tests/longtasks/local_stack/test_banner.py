"""The banner of a started stack: full addresses, and the command that creates an admin user."""

from longtasks.local_stack.banner import format_banner, list_pages


def test_each_page_has_its_full_address() -> None:
    pages = list_pages("http://127.0.0.1:3000", prefix="/jobs")
    assert pages["page"] == "http://127.0.0.1:3000/jobs/"
    assert pages["API docs"] == "http://127.0.0.1:3000/jobs/docs"
    assert pages["admin"] == "http://127.0.0.1:3000/jobs/admin/"
    assert pages["admin user"] == 'make manage ARGS="createsuperuser"'


def test_a_unix_socket_has_no_addresses_for_a_browser() -> None:
    assert list_pages("unix:/run/web.sock") == {
        "address": "unix:/run/web.sock",
        "admin user": 'make manage ARGS="createsuperuser"',
    }


def test_the_values_are_aligned() -> None:
    assert format_banner("longtasks is up", {"page": "A", "admin user": "B"}).splitlines() == [
        "",
        "  longtasks is up",
        "  page        A",
        "  admin user  B",
    ]
