"""Files: names, content types, ranges, links, and the settings of the storage."""

from rest_framework.exceptions import APIException

from longtasks.http import uploads
from settings import file_storage
from tasks_app.api.file_uploads import read_announced
from tasks_app.errors import LongtasksError
from tasks_app.files import links, names
from tasks_app.http.byte_ranges import Unsatisfiable, read_range
from tests.linearity import Case, repeat, texts
from tests.linearity_cases.calls import quietly


def _announce(name: str) -> object:
    return quietly(lambda text: read_announced({name: text}), APIException, LongtasksError)


def file_cases() -> list[Case]:
    quoted = texts("x", ";", '"', '\\"', "filename=", "filename*=UTF-8''%", " ") | {
        "open quote": repeat("\\", before='attachment; filename="')
    }
    return [
        Case("names.check_name", quietly(names.check_name, names.InvalidFileName), texts("x", "/", "\x00", " ", "é")),
        Case(
            "names.clean_content_type",
            names.clean_content_type,
            texts("x", "/", "a/", "a/b;", " ", '"'),
            ("tasks_app/files/names.py:_CONTENT_TYPE",),
        ),
        Case(
            "byte_ranges.read_range",
            quietly(lambda text: read_range(text, size=10), Unsatisfiable),
            texts("x", "bytes=", "1", "-", "bytes=1-2,", " "),
            ("tasks_app/http/byte_ranges.py:_ONE_RANGE",),
        ),
        Case(
            "links.read_link",
            quietly(links.read_link, LongtasksError),
            texts("a", "~", ".", "1"),
            ("tasks_app/files/links.py:_VALUE",),
        ),
        Case("file_uploads, Content-Disposition", _announce("HTTP_CONTENT_DISPOSITION"), quoted),
        Case("file_uploads, Content-Type", _announce("CONTENT_TYPE"), texts("x", ";", " ", "text/")),
        Case("file_uploads, query", _announce("QUERY_STRING"), texts("name=", "&", "name=x&", "%", "name=%2e")),
        Case(
            "uploads.find_streamed_bytes",
            uploads.find_streamed_bytes,
            {
                "letters": lambda length: b"x" * length,
                "slashes": lambda length: b"POST /files" + b"/" * length,
            },
            ("longtasks/http/uploads.py:UPLOAD_HEAD",),
        ),
        Case(
            "file_storage.check_class_path",
            quietly(file_storage.check_class_path, ValueError),
            texts("a", "a.", ".", "_"),
            ("settings/file_storage.py:_CLASS_PATH",),
        ),
        Case(
            "file_storage.check_options", quietly(file_storage.check_options, ValueError), texts("{", "[", '"', '{"a":')
        ),
    ]
