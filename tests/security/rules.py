"""Who may use which door, and what the others get: the one table of it, to be read and extended.

A door (an address of `doors.list_doors`) has exactly one rule here. API: a scope for each method; admin: permissions.
"""

from __future__ import annotations

from typing import Final

from tests.security import callers
from tests.security.callers import SCOPES, SUPERUSER, Caller
from tests.security.doors import STATIC, STREAM, Door
from tests.security.rule_kinds import ANY_STAFF, ANYBODY, NO_ONE, Admin, Api, Fixed, Rule

SUPERUSERS: Final = frozenset({"superusers"})
VIEW: Final = frozenset({"tasks_app.view_taskrecord", "tasks_app.operate_tasks", "tasks_app.administer_tasks"})
OPERATE: Final = frozenset({"tasks_app.operate_tasks"})
ADMINISTER: Final = frozenset({"tasks_app.administer_tasks"})


def _model(name: str) -> frozenset[str]:
    """Return the permissions that allow a model's rows to be viewed: in Django, `change` includes `view`."""
    app, _, model = name.partition(".")
    return frozenset({f"{app}.view_{model}", f"{app}.change_{model}"})


VIEW_TOKENS, MAKE_TOKENS = _model("tasks_app.apitoken"), frozenset({"tasks_app.add_apitoken"})
REVOKE_TOKENS: Final = frozenset({"tasks_app.change_apitoken"})
VIEW_USERS, VIEW_GROUPS = _model("auth.user"), _model("auth.group")


def _page(who: frozenset[str]) -> Admin:
    """A page that changes nothing, whatever the method."""
    return Admin(who)


def _button(who: frozenset[str]) -> Admin:
    return Admin(who, only=("POST",), post_ok=(302,), changes=True)


def _form(who: frozenset[str], *, changes: bool = True) -> Admin:
    return Admin(who, post_ok=(302,), changes=changes)


def _rows(
    name: str, *, view: frozenset[str], change: frozenset[str] = NO_ONE, add: frozenset[str] = NO_ONE,
    delete: frozenset[str] = NO_ONE,
) -> dict[str, Rule]:  # fmt: skip
    """Return the rules of Django's seven addresses of a model."""
    here = f"admin/{name}/"
    return {
        here: _page(view),
        f"{here}add/": _form(add),
        f"{here}<path:object_id>/": Admin(ANY_STAFF, ok=(302,), post_ok=(302,)),  # redirects to the next one
        f"{here}<path:object_id>/change/": Admin(view, post=change, post_ok=(302,), changes=True),
        f"{here}<path:object_id>/delete/": _form(delete),
        f"{here}<path:object_id>/history/": _page(view),
        # Django adds this action to every model; only callers with the permission can delete.
        f"{here} [delete_selected]": Admin(view, post_ok=(302,), changes=True)
        if delete
        else Admin(view, post_ok=(200, 302)),
    }


PUBLIC: Final = Api({"GET": 200}, reads="nobody", writes="nobody")
START: Final = Api({"GET": 200, "POST": 201})
START_MANY: Final = Api({"POST": 201})
START_BY_ADMIN: Final = Api({"POST": 201}, writes="admin")
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
    "tasks [normalise_user_phones]": START_BY_ADMIN,
    "tasks [deduplicate_users]": START_BY_ADMIN,
    "tasks [prune_order_items]": START_BY_ADMIN,
    "tasks [export_order_items]": PURGE,
    "tasks [import_products]": PURGE,
    "tasks/bulk": START_MANY,
    "tasks/bulk [import_products]": PURGE,
    "tasks/bulk [export_order_items]": PURGE,
    "tasks/bulk [upload]": START_MANY,
    "tasks/bulk [purge]": PURGE,
    "tasks/bulk [normalise_user_phones]": START_BY_ADMIN,
    "tasks/bulk [deduplicate_users]": START_BY_ADMIN,
    "tasks/bulk [prune_order_items]": START_BY_ADMIN,
    "tasks/<str:id>": Api({"GET": 200}, of_one_owner=True),
    "tasks/<str:id>/events": Api({"GET": 200}, of_one_owner=True),
    "tasks/<str:id>/cancel": Api({"POST": 200}, of_one_owner=True),
    "tasks/<str:id>/failures": Api({"GET": 200}, of_one_owner=True),
    "tasks/<str:id>/failures/retry": Api({"POST": 409}, of_one_owner=True),  # none of its records has failed
    "tasks/<str:id>/retry": Api({"POST": 202}, of_one_owner=True),
    "tasks/<str:id>/reschedule": Api({"POST": 200}, of_one_owner=True),
    "files": Api({"POST": 201}),
    "files/<str:id>": Api({"GET": 200, "DELETE": 204}, of_one_owner=True),
    "files/<str:id>/content": Api({"GET": 200}, of_one_owner=True),
    "downloads/<str:link>": Api({"GET": 200}, reads="nobody", writes="nobody"),  # the link is the permission
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
    "admin/password_change/": Admin(ANY_STAFF, ok=(200, 405), post_ok=(302,), changes=True),  # of one's own account
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
    f"{_TASK}reschedule/": _button(OPERATE),
    f"{_TASK}again/": _button(OPERATE),
    f"{_TASK}failures/": _page(VIEW),
    f"{_TASK}failures/csv/": _page(VIEW),
    f"{_TASK}failures/retry/": Admin(OPERATE, only=("POST",), post_ok=(302,)),  # none of its records has failed
    f"{_TASKS}change/": _button(OPERATE),
    f"{_TASKS}change/ [cancel]": _button(OPERATE),
    f"{_TASKS}change/ [retry]": _button(OPERATE),
    f"{_TASKS}change/ [high]": _button(OPERATE),
    f"{_TASKS}change/ [low]": Admin(OPERATE, only=("POST",), post_ok=(302,)),  # the task is in this queue already
    f"{_TASKS}start/": _form(OPERATE),
    f"{_TASKS}start/ [upload]": _form(OPERATE),
    f"{_TASKS}start/ [purge]": _form(OPERATE),
    f"{_TASKS}start/ [normalise_user_phones]": _form(OPERATE),
    f"{_TASKS}start/ [deduplicate_users]": _form(OPERATE),
    f"{_TASKS}start/ [prune_order_items]": _form(OPERATE),
    f"{_TASKS}start/ [export_order_items]": _form(OPERATE),
    f"{_TASKS}start/ [import_products]": _form(OPERATE),
    f"{_TASKS}queues/<str:name>/pause/": _button(ADMINISTER),
    f"{_TASKS}queues/<str:name>/resume/": Admin(ADMINISTER, only=("POST",), post_ok=(302,)),  # it is not paused
    "admin/tasks_app/auditentry/": _page(VIEW),
    "admin/tasks_app/auditentry/ [delete_selected]": _page(VIEW),  # there is no such form
    # Rows: catalog rows, set-aside items, tokens, users
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
# Doors that change something without an audit entry.
NOT_AUDITED: Final = {"admin/password_change/"}  # of one's own account


def rule_of(door: Door) -> Rule | None:
    """Return the rule of a door, if it has one."""
    return RULES.get(f"{door.route} [{door.action}]" if door.action else door.route)


def list_permissions() -> set[str]:
    """Return the permissions that rules name."""
    return {name for rule in RULES.values() if isinstance(rule, Admin) for name in rule.permissions}


def may_be_told(caller: Caller, rule: Rule) -> bool:
    """Return whether an answer of this door may contain the owner's tasks for this caller."""
    if isinstance(rule, Admin):
        return caller.name == SUPERUSER or caller.permission in VIEW | rule.may
    return caller.name in SCOPES and caller.name not in callers.OTHERS and rule is not PUBLIC
