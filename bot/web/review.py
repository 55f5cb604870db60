"""What compliance sees: the log, a call's story, *verify now*, a download. Each reading is an entry (PCI DSS
10.2.1.3).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from bot.audit.check import read_vkey, verify_database
from bot.audit.entry import OUTCOMES, SOURCES
from bot.audit.verify import Report
from bot.errors import Malformed, TooFast, UnknownThing
from bot.review import bundle, filters, pages, table
from bot.review.sentences import SENTENCES, sentence
from bot.storage.entries import Entry, read_head
from bot.storage.users import Role
from bot.telephony import numbers
from bot.telephony.webhooks import is_sid
from bot.web.auth import current_user, roles
from bot.web.services import note, secret, services

NO_NUMBER = "A number is searched for with its country: +49 30 1234567."
REVIEWERS = (Role.REVIEWER, Role.ADMIN)

blueprint = Blueprint("review", __name__, url_prefix="/review")
_verifying = threading.Lock()
_proving = threading.Lock()


@blueprint.get("")
@roles(*REVIEWERS)
def index() -> BaseResponse:
    query = filters.read(request.args)
    if query.problems:
        return make_response(_index_page(query, pages.Page([])), 400)
    with services().database.read() as connection:
        page = pages.newest_first(connection, query)
    _note_reading(
        "log.read",
        query.values.get("call"),
        {"view": "entries", "filter": query.noted, "before": query.before, "after": query.after},
    )
    return make_response(_index_page(query, page))


def _index_page(query: filters.Query, page: pages.Page) -> str:
    return render_template(
        "review/index.html",
        query=query,
        page=page,
        sources=sorted(SOURCES),
        outcomes=sorted(OUTCOMES),
        types=sorted(SENTENCES),
        characters_max=filters.TEXT_CHARACTERS_MAX,
    )


@blueprint.post("/number")
@roles(*REVIEWERS)
def look_for_number() -> BaseResponse:
    """The number itself goes no further than this form: the page's address has a keyed digest of it."""
    number = numbers.e164(request.form.get("number", ""))
    if number is None:
        query = replace(filters.read({}), problems=(NO_NUMBER,))
        return make_response(_index_page(query, pages.Page([])), 400)
    return redirect(url_for("review.index", number=numbers.token(numbers.digest(secret(), number))), 303)


@blueprint.get("/calls/<sid>")
@roles(*REVIEWERS)
def call_story(sid: str) -> BaseResponse:
    query = filters.read({"call": sid, "after": request.args.get("after", "")})
    if not is_sid(sid, "CA"):
        raise UnknownThing("This is not a CallSid.")
    if query.problems:
        raise Malformed(" ".join(query.problems))
    with services().database.read() as connection:
        story = pages.story(connection, sid, query.after)
    if story is None:
        raise UnknownThing("The log says nothing of this call.")
    if story.sid != sid:
        return redirect(url_for("review.call_story", sid=story.sid))
    _note_reading("log.read", sid, {"view": "call", "after": query.after})
    return make_response(render_template("review/story.html", story=story, is_first=query.after is None))


@blueprint.get("/calls/<sid>/evidence.zip")
@roles(*REVIEWERS)
def call_evidence(sid: str) -> Response:
    """What the log says of one call, with proofs to a signed checkpoint; it takes one pass over the log."""
    if not is_sid(sid, "CA"):
        raise UnknownThing("This is not a CallSid.")
    with services().database.read() as connection:
        best = bundle.best_checkpoint(connection, sid)
    vkeys = read_vkey(services().settings.vkey_file)
    if best is None or vkeys is None:
        raise UnknownThing("There is no signed checkpoint, or no public key for it, so nothing can be proven.")
    if not _proving.acquire(blocking=False):
        raise TooFast("Evidence is being gathered already; try again when that is done.")
    try:
        _note_reading("log.exported", sid, {"view": "evidence", "filter": {"call": sid}})
        note, token = best
        content = bundle.zipped(services().database, bundle.signed_log(services().database, note, vkeys), sid, token)
    finally:
        _proving.release()
    headers = {"Content-Disposition": f'attachment; filename="evidence-{sid}.zip"'}
    return Response(content, content_type="application/zip", headers=headers)


@blueprint.post("/verify")
@roles(*REVIEWERS)
def verify() -> str:
    """One at a time in each process: it costs a processor for as long as it takes."""
    if not _verifying.acquire(blocking=False):
        raise TooFast("The log is being verified already; wait for the result.")
    try:
        began = time.monotonic()
        vkey = read_vkey(services().settings.vkey_file)
        report = verify_database(services().database, vkey)
        seconds = time.monotonic() - began
    finally:
        _verifying.release()
    _note_verified(report, has_key=vkey is not None)
    return render_template("review/verified.html", report=report, has_key=vkey is not None, seconds=seconds)


@blueprint.get("/entries.csv", endpoint="csv")
@roles(*REVIEWERS)
def download() -> Response:
    """The log as it is now, without the entry that this download makes."""
    query = filters.read({name: request.args.get(name, "") for name in filters.FIELDS})
    if query.problems:
        raise Malformed(" ".join(query.problems))
    database = services().database
    with database.read() as connection:
        size = read_head(connection).size
        wanted = pages.filter_of(connection, query)
    _note_reading("log.exported", query.values.get("call"), {"view": "csv", "filter": query.noted})
    name = f"log-{datetime.now(UTC):%Y-%m-%d}.csv"
    return Response(
        table.lines(database, wanted, size),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _note_reading(type_: str, call: str | None, detail: Mapping[str, object]) -> None:
    """Before anything is shown, so that nothing is read without its entry. Asking for a call makes it no known one."""
    if call is not None:
        with services().database.read() as connection:
            call = call if pages.is_told(connection, call) else None
    note(type_, _reader(), call=call, detail={key: value for key, value in detail.items() if value not in (None, {})})


def _note_verified(report: Report, *, has_key: bool) -> None:
    """Unsigned, a log that is consistent says little; the entry says so too."""
    no_key = None if has_key else "the log's public key is missing, so no signed checkpoint was checked"
    note(
        "log.verified",
        _reader(),
        outcome="success" if report.ok else "failure",
        reason=no_key if report.ok else report.problems[0],
        detail={
            "size": report.size,
            "root": report.root,
            "checkpoints": report.checkpoints_checked,
            "problems": len(report.problems),
        },
    )


def _reader() -> str:
    user = current_user()
    if user is None:
        raise UnknownThing
    return user.name


@blueprint.app_template_filter("in_english")
def in_english(entry: Entry) -> str:
    return sentence(entry.fields)


@blueprint.app_template_filter("to_the_second")
def to_the_second(at: object) -> str:
    """`2026-11-22 10:00:01` of an entry's time, which is in UTC already."""
    return str(at)[:19].replace("T", " ")


@blueprint.app_template_filter("as_lines")
def as_lines(fields: Mapping[str, object]) -> str:
    """An entry's fields as they are, for whoever wants to see them."""
    return json.dumps(fields, ensure_ascii=False, indent=2, sort_keys=True)
