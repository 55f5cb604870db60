"""Signing in and out, and who may see what. Every try is an entry of the log (PCI DSS 10.2.1.4, 10.2.1.5)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as BaseResponse

from bot.audit.entry import Draft
from bot.audit.journal import Transaction
from bot.errors import NotAllowed, NotSignedIn, TooFast
from bot.storage import throttles, users
from bot.storage.users import Role, User
from bot.web.onward import may_be_repeated, onward
from bot.web.passwords import FAILURES_MAX, LOCKED_FOR, hash_password, is_password, weakness
from bot.web.services import is_text, note, origin, services

SIGN_INS_MAX = 60
SIGN_INS_WINDOW = timedelta(minutes=10)
NAME_MAX = 100
HOME = {
    Role.AGENT: "agent.index",
    Role.SUPERVISOR: "agent.index",
    Role.REVIEWER: "review.index",
    Role.ADMIN: "review.index",
}

blueprint = Blueprint("auth", __name__)
P = ParamSpec("P")
R = TypeVar("R")


def current_user() -> User | None:
    """Who is signed in, looked up anew for each request: a disabled user is out at once (PCI DSS 8.2.5)."""
    if "user" not in g:
        g.user = _signed_in()
    user: User | None = g.user
    return user


def _signed_in() -> User | None:
    name, number = session.get("user"), session.get("session")
    if not isinstance(name, str):
        return None
    with services().database.read() as connection:
        user = users.find(connection, name)
    return user if user is not None and not user.is_disabled and user.session == number else None


def roles(*allowed: Role) -> Callable[[Callable[P, R]], Callable[P, R | BaseResponse]]:
    """Only these roles; others get 403, and who is not signed in is sent to sign in."""

    def decorate(view: Callable[P, R]) -> Callable[P, R | BaseResponse]:
        @wraps(view)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R | BaseResponse:
            user = current_user()
            if user is None:
                if "HX-Request" in request.headers:
                    raise NotSignedIn("You are signed out. Sign in again; until then nothing here is certain.")
                return redirect(url_for("auth.login", next=_this_page()))
            if user.is_temporary:
                return redirect(url_for("auth.password"))
            if user.role not in allowed:
                _note_refused(user)
                raise NotAllowed
            return view(*args, **kwargs)

        return checked

    return decorate


def _note_refused(user: User) -> None:
    page = {"page": request.endpoint or ""}
    note("page.refused", user.name, outcome="failure", reason=f"role {user.role.value}", detail=page)


@blueprint.get("/")
def home() -> BaseResponse:
    user = current_user()
    return redirect(url_for("auth.login" if user is None else HOME[user.role]))


@blueprint.get("/login")
def login() -> BaseResponse | str:
    user = current_user()
    return redirect(url_for(HOME[user.role])) if user else _form()


@blueprint.post("/login")
def sign_in() -> BaseResponse:
    typed, address = request.form.get("username", "").strip()[:NAME_MAX], origin()
    name = typed if is_text(typed) else ""
    user, is_locked = services().journal.write(lambda transaction: _knock(transaction, name, address))
    is_right = is_password(user.password if user else None, request.form.get("password", ""))
    is_good = user is not None and is_right and not is_locked and not user.is_disabled
    services().journal.write(
        lambda transaction: _note_sign_in(transaction, user, address, is_good=is_good, is_locked=is_locked)
    )
    if not is_good or user is None:
        text = (
            "This account is locked for a while after too many tries."
            if is_locked and is_right
            else "Name or password is wrong."
        )
        return make_response(_form(problem=text, username=name if may_be_repeated(name) else ""), 401)
    _open_session(user)
    return redirect(_next_page() or url_for("auth.password" if user.is_temporary else HOME[user.role]), 303)


def _knock(transaction: Transaction, name: str, address: str | None) -> tuple[User | None, bool]:
    """Count the try, and find who it is for."""
    if throttles.count(transaction, f"sign-in {address}", SIGN_INS_WINDOW) > SIGN_INS_MAX:
        raise TooFast("Too many tries from this address; wait ten minutes.")
    user = users.find(transaction.connection, name)
    return user, bool(user and user.locked_until and user.locked_until > transaction.now())


def _note_sign_in(
    transaction: Transaction, user: User | None, address: str | None, *, is_good: bool, is_locked: bool
) -> None:
    """The name of a known user only: what a stranger types may be anything, a password included."""
    if user is not None:
        user = users.lock(transaction, user.name)
    if user is not None and is_good:
        users.note_sign_in(transaction, user)
    elif user is not None and not is_locked:
        locks = user.failures + 1 >= FAILURES_MAX
        users.note_failure(transaction, user, transaction.now() + LOCKED_FOR if locks else None)
    reason = (
        None
        if is_good
        else "unknown user"
        if user is None
        else "locked"
        if is_locked
        else "disabled"
        if user.is_disabled
        else "wrong password"
    )
    transaction.append(
        Draft(
            type="sign_in.succeeded" if is_good else "sign_in.failed",
            actor=user.name if user else None,
            source="agent",
            origin=address,
            outcome="success" if is_good else "failure",
            reason=reason,
        )
    )


def _open_session(user: User) -> None:
    """The CSRF secret stays: a page left open in another window goes on working after signing in again."""
    kept = session.get("csrf_token")
    session.clear()
    session.permanent = True
    if kept:
        session["csrf_token"] = kept
    session["user"], session["session"] = user.name, user.session


def _form(**shown: str) -> str:
    return render_template("login.html", next=_next_page(), **shown)


def _next_page() -> str | None:
    """Back to where the user wanted to go."""
    return onward(request.args.get("next", ""))


def _this_page() -> str | None:
    return onward(request.full_path) if request.method == "GET" else None


@blueprint.post("/logout")
def logout() -> BaseResponse:
    user = current_user()
    session.clear()
    if user is not None:
        note("sign_out", user.name)
    return redirect(url_for("auth.login"), 303)


@blueprint.route("/password", methods=["GET", "POST"])
def password() -> BaseResponse | str | Response:
    """Choose a password; a temporary one must be changed before anything else (PCI DSS 8.3.6)."""
    user = current_user()
    if user is None:
        return redirect(url_for("auth.login"))
    if request.method == "GET":
        return render_template("password.html", is_temporary=user.is_temporary)
    new = request.form.get("new_password", "")
    problem = weakness(new) or _wrong_old_password(user, request.form.get("password", ""))
    if problem is None and is_password(user.password, new):
        problem = "The new password is the old one."
    if problem is not None:
        return make_response(render_template("password.html", is_temporary=user.is_temporary, problem=problem), 422)
    hashed, address = hash_password(new), origin()

    def change(transaction: Transaction) -> User | None:
        known = users.lock(transaction, user.name)
        if known is not None:
            users.set_password(transaction, known, hashed, is_temporary=False)
            transaction.append(Draft(type="user.password_changed", actor=user.name, source="agent", origin=address))
        return users.find(transaction.connection, user.name)

    changed = services().journal.write(change)
    if changed is not None:
        _open_session(changed)
    return redirect(url_for("auth.home"), 303)


def _wrong_old_password(user: User, old: str) -> str | None:
    """Counted and noted like a failed sign-in: an open session must not be a way to guess (PCI DSS 8.3.4)."""
    address = origin()
    is_right = is_password(user.password, old)
    known, is_locked = services().journal.write(lambda transaction: _knock(transaction, user.name, address))
    if is_locked:
        return "This account is locked for a while after too many tries."
    if is_right:
        return None
    services().journal.write(
        lambda transaction: _note_sign_in(transaction, known, address, is_good=False, is_locked=False)
    )
    return "The old password is wrong."
