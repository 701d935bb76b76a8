"""DATABASE_URL as Django's settings of a database."""

from pathlib import Path

from settings.database import database_settings


def test_a_mysql_url_may_have_a_socket_and_options() -> None:
    config = database_settings(
        url="mariadb://user:p%40ss@/longtasks?unix_socket=/run/my.sock&read_timeout=60",
        data_dir=Path("/nowhere"),
        local_infile=False,
    )
    assert config["ENGINE"] == "django.db.backends.mysql"
    assert (config["NAME"], config["USER"], config["PASSWORD"]) == ("longtasks", "user", "p@ss")
    assert config["OPTIONS"]["unix_socket"] == "/run/my.sock"
    assert config["OPTIONS"]["read_timeout"] == 60
    assert config["OPTIONS"]["connect_timeout"] == 2
    assert "local_infile" not in config["OPTIONS"]


def test_local_infile_is_on_for_the_bulk_writer_only() -> None:
    config = database_settings(url="mysql://localhost/x", data_dir=Path("/nowhere"), local_infile=True)
    assert config["OPTIONS"]["local_infile"] is True


def test_empty_database_url_means_sqlite_in_data_dir() -> None:
    config = database_settings(url="", data_dir=Path("/srv/longtasks data"), local_infile=False)
    assert config["ENGINE"] == "django.db.backends.sqlite3"
    assert config["NAME"] == "/srv/longtasks data/longtasks.sqlite3"
    assert config["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
