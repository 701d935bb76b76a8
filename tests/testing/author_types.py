"""Task types of an author, over users: right ones, and ones with the faults that a crash shows.

Owns the classes. A test registers those that it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import F
from rest_framework import serializers

from catalog.models import Product, User
from tasks_app.task_types import Chunk, ChunkResult, TaskType, write_artifact
from tasks_app.task_types.collections import Backfill, Run


class Greet(Backfill):
    """Puts a greeting before the first name of each user: a second visit shows."""

    def collection(self, params: Any) -> Any:
        return User.objects.all()

    def process(self, rows: list[Any], run: Run) -> dict[str, int]:
        for user in rows:
            user.first_name = f"Dear {user.first_name}"[:60]
        User.objects.bulk_update(rows, ["first_name"])
        return {"greeted": len(rows)}


class Refuse(Greet):
    """Refuses every fourth user."""

    def process(self, rows: list[Any], run: Run) -> dict[str, int]:
        for user in rows:
            if user.position % 4 == 3:
                raise ValueError(f"user {user.position} is refused")
        return super().process(rows, run)


class Params(serializers.Serializer[Any]):
    """No parameters."""


class ByPosition(TaskType):
    """Base class: one user after the other, with a cursor written by hand."""

    params_serializer = Params
    count_names = ("users",)

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        users = list(User.objects.order_by("position")[chunk.start : chunk.start + chunk.limit])
        self.change(users)
        return ChunkResult(len(users), {"users": len(users)}, finished=len(users) < chunk.limit)

    def change(self, users: Sequence[User]) -> None:
        """Change a page of users."""


class OutsideOfTheTransaction(ByPosition):
    """Inserts a product for each user where no transaction is open: a crash before the commit leaves them."""

    name = "outside_of_the_transaction"

    def prepare_chunks(self, chunks: Sequence[Chunk]) -> None:
        [chunk] = chunks
        for user in User.objects.order_by("position")[chunk.start : chunk.start + chunk.limit]:
            number = 1000 + Product.objects.count()
            made = {"price": 1, "stock": 1, "created_at": user.created_at, "task_id": user.task_id}
            Product.objects.create(id=number, sku=f"sku {number}", position=number, **made)


class AfterTheCommit(ByPosition):
    """Changes the users in a hook, which a process that dies at the commit does not run."""

    name = "after_the_commit"

    def change(self, users: Sequence[User]) -> None:
        keys = [user.pk for user in users]
        transaction.on_commit(lambda: User.objects.filter(pk__in=keys).update(city="done"))


class AppendsToAFile(ByPosition):
    """Appends a line to a file for each user: a chunk that runs twice appends it twice."""

    name = "appends_to_a_file"
    path: ClassVar[Path]

    def change(self, users: Sequence[User]) -> None:
        with self.path.open("a") as file:
            file.writelines(f"{user.position}\n" for user in users)


class RemembersInTheProcess(TaskType):
    """Keeps its cursor in the process instead of the state."""

    name = "remembers_in_the_process"
    params_serializer = Params

    def __init__(self) -> None:
        self.after = 0

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        users = list(User.objects.filter(pk__gt=self.after).order_by("pk")[: chunk.limit])
        User.objects.filter(pk__in=[user.pk for user in users]).update(position=F("position") + 100)
        self.after = users[-1].pk if users else self.after
        return ChunkResult(len(users), {}, finished=len(users) < chunk.limit)


class InsertsAgain(TaskType):
    """Inserts the same key outside of the transaction, so that the second try of a chunk fails."""

    name = "inserts_again"
    params_serializer = Params

    def prepare_chunks(self, chunks: Sequence[Chunk]) -> None:
        made: dict[str, Any] = {"sku": "sku", "price": 1, "stock": 1, "position": 1, "task_id": chunks[0].task_id}
        Product.objects.create(id=1, created_at="2020-01-01T00:00:00Z", **made)

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        return ChunkResult(1, {}, finished=True)


class DifferentEachTime(TaskType):
    """Leaves a file and a result that no other run leaves."""

    name = "different_each_time"
    params_serializer = Params
    leaves_results = True
    runs: ClassVar[int] = 0

    def prepare_chunks(self, chunks: Sequence[Chunk]) -> Any:
        DifferentEachTime.runs += 1
        return [write_artifact(chunks[0], "run.txt", [str(self.runs).encode()])]

    def run_chunks(self, chunks: Sequence[Chunk], prepared: Any) -> list[ChunkResult]:
        return [ChunkResult(1, {}, finished=True, result={"runs": self.runs}, artifacts=prepared)]


class OwnUsersParams(serializers.Serializer[Any]):
    """Whose name is changed to what."""

    city = serializers.CharField(max_length=80)
    since = serializers.DateTimeField(required=False)


class MoveUsers(ByPosition):
    """Moves all users to a city."""

    name = "move_users"
    params_serializer = OwnUsersParams

    def run_chunk(self, chunk: Chunk) -> ChunkResult:
        number = User.objects.update(city=chunk.params["city"])
        params: Mapping[str, Any] = chunk.params
        return ChunkResult(1, {"users": number}, {"since": params.get("since")}, finished=True)
