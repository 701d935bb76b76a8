"""Who may pass through which door, and what the others get: the one table of it, to be read and added to.

A door (an address of `doors.list_doors`) has exactly one rule here. API: a scope for each method; admin: permissions.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from tests.security import callers
from tests.security.callers import NOT_STAFF, OTHERS, SCOPES, SUPERUSER, Caller
from tests.security.doors import STATIC, STREAM, Door

Statuses = Collection[int]
READS: Final = ("GET", "HEAD", "OPTIONS")

# --- who


ANYBODY: Final = frozenset({"anybody"})
ANY_STAFF: Final = frozenset({"any member of the staff"})
SUPERUSERS: Final = frozenset({"superusers"})
NO_ONE: Final[frozenset[str]] = frozenset()
VIEW: Final = frozenset({"tasks_app.view_taskrecord", "tasks_app.operate_tasks", "tasks_app.administer_tasks"})
OPERATE: Final = frozenset({"tasks_app.operate_tasks"})
ADMINISTER: Final = frozenset({"tasks_app.administer_tasks"})


def _model(name: str) -> frozenset[str]:
    """Django's own: who may change a model's rows may look at them."""
    app, _, model = name.partition(".")
    return frozenset({f"{app}.view_{model}", f"{app}.change_{model}"})


VIEW_TOKENS, MAKE_TOKENS = _model("tasks_app.apitoken"), frozenset({"tasks_app.add_apitoken"})
REVOKE_TOKENS: Final = frozenset({"tasks_app.change_apitoken"})
VIEW_USERS, VIEW_GROUPS = _model("auth.user"), _model("auth.group")


# --- the rules


@dataclass(frozen=True, slots=True)
class Api:
    """An endpoint: the scope that each of its methods takes. Every other method is refused, after the scope."""

    methods: dict[str, int] = field(default_factory=dict)  # method: status of the success
    reads: str = "read"  # the scope that GET, HEAD and OPTIONS take
    writes: str = "write"  # … and that the others take
    of_one_owner: bool = False  # another owner's caller gets 404, as for a task that there is not
    options: int = 204
    head: bool = True  # GET's head is answered, too

    def expect(self, caller: Caller, door: Door) -> tuple[bool, Statuses]:
        """Tell whether this caller may, and which statuses say so."""
        needs = self.reads if door.method in READS else self.writes
        if needs != "nobody":
            if caller.name not in SCOPES:
                return False, {401}
            if SCOPES[caller.name] < SCOPES[needs]:
                return False, {403}
        if door.method == "OPTIONS":
            return False, {self.options}
        status = self.methods.get("GET" if door.method == "HEAD" and self.head else door.method)
        if status is None:
            return False, {405}
        if self.of_one_owner and caller.name in OTHERS:
            return False, {404}
        return True, {status}

    def __str__(self) -> str:
        who = " or ".join(dict.fromkeys(self.reads if name in READS else self.writes for name in self.methods))
        who = "anybody" if "nobody" in who else f"a token of scope {who}"
        return who + (" of the owner's" if self.of_one_owner else "")


@dataclass(frozen=True, slots=True)
class Admin:
    """A page of the dashboard: strangers are led to the login, staff without a permission of `may` get `no`."""

    may: frozenset[str]
    post: frozenset[str] | None = None  # who may POST, where that differs
    ok: Statuses = (200,)
    post_ok: Statuses = (200,)
    no: Statuses = (403,)
    only: Collection[str] = ()  # its methods; any other is refused with 405
    changes: bool = False  # a POST changes something, and the test sees it

    def expect(self, caller: Caller, door: Door) -> tuple[bool, Statuses]:
        """Tell whether this caller may, and which statuses say so."""
        if self.may is not ANYBODY and (not caller.is_session or caller.name in NOT_STAFF):
            return False, {302}
        if self.only and door.method not in self.only:
            return False, {405}
        is_post = door.method == "POST"
        who = self.post if is_post and self.post is not None else self.may
        if who in (ANYBODY, ANY_STAFF) or caller.permission in who or (who and caller.name == SUPERUSER):
            return True, self.post_ok if is_post else self.ok
        return False, self.no

    def __str__(self) -> str:
        reads, writes = ", ".join(sorted(self.may)) or "no one", ", ".join(sorted(self.post or ()))
        return reads if self.post is None else f"{reads}; POST: {writes or 'no one'}"

    @property
    def permissions(self) -> set[str]:
        return {name for name in self.may | (self.post or NO_ONE) if "." in name}


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same for everybody."""

    get: int
    other: int

    def expect(self, caller: Caller, door: Door) -> tuple[bool, Statuses]:
        """Tell what everybody gets."""
        return False, {self.get if door.method in ("GET", "HEAD") else self.other}

    def __str__(self) -> str:
        return f"anybody: {self.get}"


Rule = Api | Admin | Fixed


def _page(who: frozenset[str]) -> Admin:
    """A page that only shows, whatever the method."""
    return Admin(who)


def _button(who: frozenset[str]) -> Admin:
    return Admin(who, only=("POST",), post_ok=(302,), changes=True)


def _form(who: frozenset[str], *, changes: bool = True) -> Admin:
    return Admin(who, post_ok=(302,), changes=changes)


def _rows(
    name: str, *, view: frozenset[str], change: frozenset[str] = NO_ONE, add: frozenset[str] = NO_ONE,
    delete: frozenset[str] = NO_ONE,
) -> dict[str, Rule]:  # fmt: skip
    """Django's seven addresses of a model."""
    here = f"admin/{name}/"
    return {
        here: _page(view),
        f"{here}add/": _form(add),
        f"{here}<path:object_id>/": Admin(ANY_STAFF, ok=(302,), post_ok=(302,)),  # leads to the next one
        f"{here}<path:object_id>/change/": Admin(view, post=change, post_ok=(302,), changes=True),
        f"{here}<path:object_id>/delete/": _form(delete),
        f"{here}<path:object_id>/history/": _page(view),
        # Django offers it by itself; it deletes for those only who may.
        f"{here} [delete_selected]": Admin(view, post_ok=(302,), changes=True)
        if delete
        else Admin(view, post_ok=(200, 302)),
    }


PUBLIC: Final = Api({"GET": 200}, reads="nobody", writes="nobody")
START: Final = Api({"GET": 200, "POST": 201})
START_MANY: Final = Api({"POST": 201})
PURGE: Final = Api({"POST": 201}, of_one_owner=True)  # it names a task
OPERATE_QUEUES: Final = Api({"POST": 200}, writes="admin")
WATCH: Final = Api({"GET": 200}, writes="read", options=405, head=False)
RQ_PAGE, RQ_BUTTON = _page(ADMINISTER), Admin(ADMINISTER, post_ok=(302,))
_RQ = "admin/django_rq/dashboard/"
_JOBS = f"{_RQ}queues/<int:queue_index>/"
_TASKS = "admin/tasks_app/taskrecord/"
_TASK = f"{_TASKS}<str:task_id>/"
_CRON = f"{_RQ}cron-schedulers/<int:connection_index>/<str:scheduler_name>/"

RULES: Final[dict[str, Rule]] = {
    # The API
    "tasks": START,
    "tasks [upload]": START,
    "tasks [purge]": PURGE,
    "tasks/bulk": START_MANY,
    "tasks/bulk [upload]": START_MANY,
    "tasks/bulk [purge]": PURGE,
    "tasks/<str:id>": Api({"GET": 200}, of_one_owner=True),
    "tasks/<str:id>/events": Api({"GET": 200}, of_one_owner=True),
    "tasks/<str:id>/cancel": Api({"POST": 200}, of_one_owner=True),
    "tasks/<str:id>/retry": Api({"POST": 202}, of_one_owner=True),
    "task-types": Api({"GET": 200}),
    "stream-tickets": Api({"POST": 201}, writes="read"),
    "queues": Api({"GET": 200}, writes="admin"),
    "queues/<str:name>/pause": OPERATE_QUEUES,
    "queues/<str:name>/resume": OPERATE_QUEUES,
    "metrics": Api({"GET": 200}, reads="admin", writes="admin", options=405),
    "health/live": PUBLIC,
    "health/ready": PUBLIC,
    "schema": PUBLIC,
    "docs": Api({"GET": 200}, reads="nobody", writes="nobody", options=405),
    "": Fixed(200, 404),
    "favicon.ico": Fixed(200, 404),
    "robots.txt": Fixed(200, 404),
    STATIC: Fixed(200, 405),
    # The stream
    f"{STREAM}stream": WATCH,
    f"{STREAM}tasks/<str:task_id>/stream": Api(
        {"GET": 200}, writes="read", of_one_owner=True, options=405, head=False
    ),
    # The dashboard's frame
    "admin": Admin(ANYBODY, ok=(302,), post_ok=(302,)),
    "admin/": _page(ANY_STAFF),
    "admin/login/": Admin(ANYBODY, ok=(200, 302, 405), post_ok=(200,)),
    "admin/logout/": Admin(ANYBODY, ok=(200, 302, 405), post_ok=(200, 302)),
    "admin/i18n/setlang/": Admin(ANYBODY, ok=(302,), post_ok=(302,)),
    "admin/jsi18n/": Admin(ANY_STAFF, only=("GET", "HEAD", "OPTIONS")),
    "admin/password_change/": Admin(ANY_STAFF, ok=(200, 405), post_ok=(302,), changes=True),  # one's own
    "admin/password_change/done/": Admin(ANY_STAFF, only=("GET", "HEAD", "OPTIONS")),
    "admin/search/": _page(ANY_STAFF),
    "admin/autocomplete/": Admin(NO_ONE, no=(200, 403, 405)),  # 200: OPTIONS, which lists methods
    "^admin/r/": Fixed(404, 404),
    "admin/r/<path:content_type_id>/<path:object_id>/": Fixed(404, 404),  # Django's, behind the one above
    "admin/(?P<url>.*)$": Admin(NO_ONE, no=(404,)),
    "admin/^auth/$": Admin(VIEW_USERS | VIEW_GROUPS, no=(404,)),
    "admin/^catalog/$": Admin(_model("catalog.user") | _model("catalog.product") | _model("catalog.orderitem"), no=(404,)),
    "admin/^django_rq/$": Admin(ADMINISTER, no=(404,)),
    "admin/^tasks_app/$": Admin(VIEW | VIEW_TOKENS | MAKE_TOKENS, no=(404,)),
    # Tasks
    _TASKS: _page(VIEW),
    f"{_TASKS} [delete_selected]": _page(VIEW),  # there is no such form
    f"{_TASKS}live/": _page(VIEW),
    f"{_TASKS}overview/live/": _page(VIEW),
    _TASK: _page(VIEW),
    f"{_TASK}live/": _page(VIEW),
    f"{_TASK}cancel/": _button(OPERATE),
    f"{_TASK}retry/": _button(OPERATE),
    f"{_TASK}priority/": _button(OPERATE),
    f"{_TASK}again/": _button(OPERATE),
    f"{_TASKS}change/": _button(OPERATE),
    f"{_TASKS}change/ [cancel]": _button(OPERATE),
    f"{_TASKS}change/ [retry]": _button(OPERATE),
    f"{_TASKS}change/ [high]": _button(OPERATE),
    f"{_TASKS}change/ [low]": Admin(OPERATE, only=("POST",), post_ok=(302,)),  # the task is there already
    f"{_TASKS}start/": _form(OPERATE),
    f"{_TASKS}start/ [upload]": _form(OPERATE),
    f"{_TASKS}start/ [purge]": _form(OPERATE),
    f"{_TASKS}queues/<str:name>/pause/": _button(ADMINISTER),
    f"{_TASKS}queues/<str:name>/resume/": Admin(ADMINISTER, only=("POST",), post_ok=(302,)),  # it is not paused
    "admin/tasks_app/auditentry/": _page(VIEW),
    "admin/tasks_app/auditentry/ [delete_selected]": _page(VIEW),  # there is no such form
    # Rows: what tasks wrote, what was set aside, tokens, people
    **_rows("catalog/user", view=_model("catalog.user")),
    **_rows("catalog/product", view=_model("catalog.product")),
    **_rows("catalog/orderitem", view=_model("catalog.orderitem")),
    **_rows("tasks_app/setasideitem", view=ADMINISTER),
    "admin/tasks_app/setasideitem/ [try_again]": _form(ADMINISTER),
    "admin/tasks_app/setasideitem/ [drop]": _form(ADMINISTER),
    **_rows("tasks_app/apitoken", view=VIEW_TOKENS, add=MAKE_TOKENS),
    "admin/tasks_app/apitoken/ [revoke]": Admin(VIEW_TOKENS, post=REVOKE_TOKENS, post_ok=(302,), no=(200, 403), changes=True),
    **_rows("auth/user", view=VIEW_USERS, add=SUPERUSERS, change=SUPERUSERS, delete=SUPERUSERS),
    "admin/auth/user/ [delete_selected]": Admin(VIEW_USERS, post=SUPERUSERS, post_ok=(302,), no=(200, 302, 403), changes=True),
    "admin/auth/user/<id>/password/": _form(SUPERUSERS),
    **_rows("auth/group", view=VIEW_GROUPS, add=SUPERUSERS, change=SUPERUSERS, delete=SUPERUSERS),
    "admin/auth/group/ [delete_selected]": Admin(VIEW_GROUPS, post=SUPERUSERS, post_ok=(302,), no=(200, 302, 403), changes=True),
    # RQ's own pages
    _RQ: RQ_PAGE,
    f"{_RQ} [delete_selected]": RQ_PAGE,  # there is no such form
    f"{_RQ}^stats.json/?$": RQ_PAGE,
    f"{_RQ}^stats.json/(?P<token>[\\w]+)?/?$": RQ_PAGE,
    f"{_RQ}^metrics/?$": RQ_PAGE,
    _JOBS: RQ_PAGE,
    f"{_JOBS}details/": RQ_PAGE,
    f"{_JOBS}finished/": RQ_PAGE,
    f"{_JOBS}failed/": RQ_PAGE,
    f"{_JOBS}scheduled/": RQ_PAGE,
    f"{_JOBS}started/": RQ_PAGE,
    f"{_JOBS}deferred/": RQ_PAGE,
    f"{_JOBS}failed/clear/": RQ_BUTTON,
    f"{_JOBS}requeue-all/": RQ_BUTTON,
    f"{_JOBS}empty/": Admin(ADMINISTER, post_ok=(302,), changes=True),
    f"{_JOBS}<str:job_id>/": RQ_PAGE,
    f"{_JOBS}<str:job_id>/results/<str:result_id>/": Admin(ADMINISTER, ok=(302, 404), post_ok=(302, 404)),  # there is none
    f"{_JOBS}<str:job_id>/delete/": Admin(ADMINISTER, post_ok=(302,), changes=True),
    f"{_JOBS}<str:job_id>/requeue/": RQ_BUTTON,
    f"{_JOBS}<str:job_id>/enqueue/": RQ_BUTTON,
    f"{_JOBS}<str:job_id>/stop/": Admin(ADMINISTER, ok=(405,), post_ok=(302,)),
    f"{_RQ}queues/confirm-action/<int:queue_index>/": Admin(ADMINISTER, ok=(302,)),
    f"{_RQ}queues/actions/<int:queue_index>/": Admin(ADMINISTER, ok=(302,), post_ok=(302,)),
    f"{_RQ}queues/actions/<int:queue_index>/ [delete]": Admin(ADMINISTER, post_ok=(302,), changes=True),
    f"{_RQ}queues/actions/<int:queue_index>/ [requeue]": RQ_BUTTON,
    f"{_RQ}queues/actions/<int:queue_index>/ [stop]": RQ_BUTTON,
    f"{_RQ}workers/<int:queue_index>/": RQ_PAGE,
    f"{_RQ}workers/<int:queue_index>/<str:key>/": Admin(ADMINISTER, ok=(404,), post_ok=(404,)),  # there is none
    f"{_RQ}schedulers/<int:scheduler_index>/": Admin(ADMINISTER, ok=(404,), post_ok=(404,)),
    _CRON: Admin(ADMINISTER, ok=(404,), post_ok=(404,)),
    f"{_CRON}jobs/<path:cron_job_name>/": Admin(ADMINISTER, ok=(404,), post_ok=(404,)),
}  # fmt: skip

# What changes something and is no operator's act.
NOT_AUDITED: Final = {"admin/password_change/"}  # one's own


def rule_of(door: Door) -> Rule | None:
    """The rule of a door, if it has one."""
    return RULES.get(f"{door.route} [{door.action}]" if door.action else door.route)


def list_permissions() -> set[str]:
    """The permissions that rules name."""
    return {name for rule in RULES.values() if isinstance(rule, Admin) for name in rule.permissions}


def may_be_told(caller: Caller, rule: Rule) -> bool:
    """Whether an answer of this door may speak of the owner's tasks to this caller."""
    if isinstance(rule, Admin):
        return caller.name == SUPERUSER or caller.permission in VIEW | rule.may
    return caller.name in SCOPES and caller.name not in callers.OTHERS and rule is not PUBLIC
