"""The file input of the start form: a file, or the id of a file that was uploaded before.

Owns the field and its widget. Must not start a task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy

from tasks_app.files.names import BINARY, InvalidFileName, check_name
from tasks_app.files.spool import Spool
from tasks_app.files.storage import mapped_storage_errors
from tasks_app.files.uploads import store_upload
from tasks_app.resilience.transient_errors import mapped_database_errors


class FileOrIdWidget(forms.MultiWidget):
    """A file input, and a text input for an id."""

    def __init__(self) -> None:
        id_input = forms.TextInput(attrs={"placeholder": gettext_lazy("or the id of an uploaded file")})
        super().__init__({"file": forms.FileInput(), "id": id_input})

    def decompress(self, value: Any) -> list[Any]:
        return [None, value]

    def value_from_datadict(self, data: Mapping[str, Any], files: Mapping[str, Any], name: str) -> Any:
        file, file_id = super().value_from_datadict(data, files, name)  # type: ignore[arg-type]
        return file or file_id


class FileOrIdField(forms.Field):
    """An UploadedFile with a valid name, or the text of an id."""

    widget = FileOrIdWidget

    def clean(self, value: Any) -> Any:
        cleaned = super().clean(value)
        if isinstance(cleaned, UploadedFile):
            try:
                check_name(cleaned.name or "")
            except InvalidFileName as error:
                raise forms.ValidationError(str(error)) from None
        return cleaned


def store_form_file(file: UploadedFile, *, owner: str) -> str:
    """Store a file of a form, and return its id. Raises FilesFull, FilesUnavailable and StoreUnavailable."""
    with mapped_storage_errors():
        spool = Spool()
    with spool:
        with mapped_storage_errors():
            for data in file.chunks():
                spool.write(data)
        with mapped_database_errors():
            found = store_upload(spool, owner=owner, name=file.name or "", content_type=file.content_type or BINARY)
    return str(found.row.pk)
