"""The task type `normalise_user_phones`: writes users' phone numbers in the form of E.164."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_noop

from catalog.models import User
from tasks_app.task_types import Caller, NotAllowed, register
from tasks_app.task_types.collections import Backfill, Run


@dataclass
class NormaliseUserPhonesParams:
    countryCode: int = field(default=1, metadata={"min_value": 1, "max_value": 999})  # of numbers without one


@register
class NormaliseUserPhones(Backfill):
    """A number with an extension, or with too few or too many digits, stays as it is and is counted as unreadable."""

    description = gettext_noop("Writes users' phone numbers in the form of E.164.")
    params_class = NormaliseUserPhonesParams
    count_names = ("normalised", "unchanged", "unreadable")

    def authorize(self, params: Any, caller: Caller) -> None:
        """Only an admin may change the users of all owners."""
        if not caller.sees_all:
            raise NotAllowed("Only an admin may change the users of all owners.")

    def collection(self, params: NormaliseUserPhonesParams) -> QuerySet[User]:
        return User.objects.all()

    def process(self, rows: list[User], run: Run) -> None:
        changed = []
        for user in rows:
            number = to_e164(user.phone, country_code=run.params.countryCode)
            run.count("unreadable" if number is None else "unchanged" if number == user.phone else "normalised")
            if number is not None and number != user.phone:
                user.phone = number
                changed.append(user)
        User.objects.bulk_update(changed, ["phone"], batch_size=500)


def to_e164(phone: str, *, country_code: int) -> str | None:
    """Return a phone number as + and 8 to 15 digits; None if it cannot be read."""
    text = phone.strip()
    digits = "".join(character for character in text if character in "0123456789")
    if any(character not in "0123456789 +()-./" for character in text):
        return None
    if not text.startswith("+"):
        if digits.startswith("00"):
            digits = digits[2:]
        elif not (country_code == 1 and len(digits) == 11 and digits.startswith("1")):
            digits = f"{country_code}{digits.removeprefix('0')}"
    return f"+{digits}" if 8 <= len(digits) <= 15 else None
