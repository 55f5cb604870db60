"""The commands. Exit codes: 0 good, 1 the log does not verify, 2 usage or environment."""

from __future__ import annotations

import re
import secrets
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

import click
from tqdm import tqdm

from bot import demo as demo_room
from bot import logs
from bot.app import wire
from bot.audit.check import read_vkey, verify_database
from bot.audit.entry import Draft
from bot.audit.export import write_export
from bot.audit.journal import Transaction
from bot.audit.keys import create_signing_key, load_signing_key, public_vkey
from bot.audit.signing import LogSigner, write_vkey
from bot.audit.verify import Report, verify_export
from bot.errors import BotError, DatabaseUnavailable, LogError, UsageError
from bot.settings import Settings
from bot.storage import api_keys, checkpoints, entries, migrate, users
from bot.storage.users import Role, User
from bot.web.passwords import hash_password, new_password, weakness
from bot.web.services import Services
from bot.worker import Worker

NAME = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$"
P = ParamSpec("P")
R = TypeVar("R")


def plainly(command: Callable[P, R]) -> Callable[P, R]:
    """Our own errors as one sentence on standard error, and the exit code that fits."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except DatabaseUnavailable:
            text = "the database is busy or away, or was never set up (bot init-db); nothing is known to have changed"
            click.echo(f"bot: {text}", err=True)
            sys.exit(2)
        except BotError as error:
            click.echo(f"bot: {error}", err=True)
            sys.exit(2)

    return run


def _services() -> Services:
    return wire(Settings.read(), "cli")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """The PCI pause bot: pauses call recordings while a card is given, and proves it."""


@main.command("init-db")
@plainly
def init_db() -> None:
    """Create or migrate the database; make the signing key if there is none."""
    settings = Settings.read()
    services = wire(settings, "cli")
    migrate.upgrade(services.database)
    path = settings.audit_signing_key_file
    is_new = not path.exists()
    key = create_signing_key(path) if is_new else load_signing_key(path)
    write_vkey(settings.vkey_file, public_vkey(settings.audit_origin, key))
    if is_new:
        services.journal.append(Draft(type="key.created", actor="operator", detail={"origin": settings.audit_origin}))
    click.echo(
        "The database is ready." + (f" A new signing key is in {path}; keep a copy of it safe." if is_new else "")
    )


@main.command("create-user")
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option(
    "--contact", "contacts", multiple=True, help="client:alice, sip:alice@example.org or +4930…; may be repeated."
)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input; it is then not temporary.")
@plainly
def create_user(name: str, role: str, contacts: tuple[str, ...], password_stdin: bool) -> None:
    """Create a user; without --password-stdin, print a temporary password."""

    if not re.fullmatch(NAME, name):
        raise UsageError("A name has letters, digits and . _ @ - only, 100 characters at most.")
    password = _read_password() if password_stdin else new_password()
    hashed = hash_password(password)

    def change(transaction: Transaction) -> None:
        if users.find(transaction.connection, name) is not None:
            raise UsageError(f"There is a user {name} already.")
        if taken := users.owner_of(transaction.connection, contacts):
            raise UsageError(f"The contact belongs to {taken} already.")
        users.add(transaction, name, Role(role), hashed, is_temporary=not password_stdin)
        users.set_contacts(transaction, name, contacts)
        transaction.append(Draft(type="user.created", actor="operator", detail={"user": name, "role": role}))

    _services().journal.write(change)
    click.echo(f"Created {name}." if password_stdin else password)


def _read_password() -> str:
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise UsageError("No password came on standard input.")
    if problem := weakness(password):
        click.echo(f"bot: warning: {problem}", err=True)
    return password


@main.command("set-password")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input; it is then not temporary.")
@plainly
def set_password(name: str, password_stdin: bool) -> None:
    """Set a new password and end the user's sessions."""
    password = _read_password() if password_stdin else new_password()
    hashed = hash_password(password)

    def change(transaction: Transaction, user: User) -> None:
        users.set_password(transaction, user, hashed, is_temporary=not password_stdin)
        transaction.append(Draft(type="user.password_set", actor="operator", detail={"user": name}))

    _change_user(name, change)
    click.echo(f"Changed the password of {name}." if password_stdin else password)


@main.command("disable-user")
@click.argument("name")
@plainly
def disable_user(name: str) -> None:
    """Disable a user and end all sessions at once."""

    def change(transaction: Transaction, user: User) -> None:
        users.disable(transaction, user)
        transaction.append(Draft(type="user.disabled", actor="operator", detail={"user": name}))

    _change_user(name, change)
    click.echo(f"Disabled {name}.")


def _change_user(name: str, change: Callable[[Transaction, User], None]) -> None:
    def found(transaction: Transaction) -> None:
        user = users.lock(transaction, name)
        if user is None:
            raise UsageError(f"There is no user {name}.")
        change(transaction, user)

    _services().journal.write(found)


@main.command("create-api-key")
@click.argument("name")
@click.option("--scope", default="pause,read", show_default=True, help=f"Any of {', '.join(api_keys.SCOPES)}.")
@plainly
def create_api_key(name: str, scope: str) -> None:
    """Create an API key. Standard output is the key alone; it is shown this once."""

    scopes = tuple(part.strip() for part in scope.split(",") if part.strip())
    if not re.fullmatch(NAME, name):
        raise UsageError("A name has letters, digits and . _ @ - only, 100 characters at most.")
    if not scopes or not set(scopes) <= set(api_keys.SCOPES):
        raise UsageError(f"Scopes are any of {', '.join(api_keys.SCOPES)}.")
    key = secrets.token_urlsafe(32)

    def change(transaction: Transaction) -> None:
        if api_keys.exists(transaction.connection, name):
            raise UsageError(f"There is, or was, an API key {name} already; names are not used twice.")
        api_keys.add(transaction, name, key, scopes)
        transaction.append(
            Draft(type="api_key.created", actor="operator", detail={"key": name, "scopes": list(scopes)})
        )

    _services().journal.write(change)
    click.echo(key)


@main.command("revoke-api-key")
@click.argument("name")
@plainly
def revoke_api_key(name: str) -> None:
    """Revoke an API key at once."""

    def change(transaction: Transaction) -> None:
        if not api_keys.revoke(transaction, name):
            raise UsageError(f"There is no live API key {name}.")
        transaction.append(Draft(type="api_key.revoked", actor="operator", detail={"key": name}))

    _services().journal.write(change)
    click.echo(f"Revoked {name}.")


@main.command()
@plainly
def worker() -> None:
    """Run the worker: due holds, dead claims, checkpoints."""
    logs.set_up()
    settings = Settings.read()
    services = wire(settings, "worker")
    signer = LogSigner(settings, services.database, services.journal)
    runner = Worker(
        services.database,
        services.journal,
        services.control,
        signer,
        settings.audit_checkpoint_seconds,
        services.payments.tidy,
    )
    runner.stop_on_signals()
    runner.run()


@main.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Where the pages are.")
@click.option("--simulator-port", type=click.IntRange(1, 65535), default=8001, show_default=True)
@plainly
def demo(port: int, simulator_port: int) -> None:
    """Everything on this machine, with a simulated Twilio; Ctrl-C ends it."""
    demo_room.run(port, simulator_port)


@main.group()
def audit() -> None:
    """The audit log: verify, export, sign."""


@audit.command("verify")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--vkey", "vkey_file", type=click.Path(path_type=Path), help="The log's public key, got by another way.")
@plainly
def audit_verify(folder: Path | None, vkey_file: Path | None) -> None:
    """Recompute the whole log, or an exported FOLDER, and compare it with the signed checkpoints."""
    if folder is not None:
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder.")
        report = verify_export(folder, _vkey(vkey_file) if vkey_file else None)
    else:
        settings = Settings.read()
        services = wire(settings, "cli")
        report = verify_database(services.database, _vkey(vkey_file) if vkey_file else read_vkey(settings.vkey_file))
        _note_verified(services, report)
    click.echo(report.summary())
    for problem in report.problems:
        click.echo(f"  {problem}")
    sys.exit(0 if report.ok else 1)


def _note_verified(services: Services, report: Report) -> None:
    """A log that is damaged may not take the entry; the verdict stands all the same."""
    outcome = "success" if report.ok else "failure"
    draft = Draft(type="log.verified", actor="operator", outcome=outcome, detail={"size": report.size})
    try:
        services.journal.append(draft)
    except (BotError, ValueError) as error:
        click.echo(f"bot: warning: this check could not be noted in the log ({error})", err=True)


def _vkey(path: Path) -> str:
    """A key that was named must be there: without it a forger's own would pass."""
    vkey = read_vkey(path)
    if vkey is None:
        raise UsageError(f"There is no file {path}.")
    return vkey


@audit.command("checkpoint")
@plainly
def audit_checkpoint() -> None:
    """Sign the log as it is now; print the signed note."""
    click.echo(_signer(_services()).sign(), nl=False)


@audit.command("export")
@click.argument("folder", type=click.Path(path_type=Path))
@plainly
def audit_export(folder: Path) -> None:
    """Write the log up to a fresh checkpoint into a new FOLDER, for a checker that trusts nobody here."""
    services = _services()
    signer = _signer(services)
    try:
        note = signer.sign()
    except LogError as error:
        note = _last_note(services, error)
    size = int(note.split("\n", 2)[1])
    with (
        services.database.read() as connection,
        tqdm(total=size, unit=" entries", disable=not sys.stderr.isatty()) as bar,
    ):
        bodies = entries.bodies(connection, 0, size)
        write_export(folder, bodies, note, signer.vkey, progress=lambda count: _advance(bar, count))
    services.journal.append(Draft(type="log.exported", actor="operator", detail={"size": size}))
    click.echo(f"Exported {size} entries to {folder}. Verify it with: bot audit verify {folder}")
    if not verify_export(folder, signer.vkey).ok:
        click.echo("bot: warning: this log does not verify; the export shows it.", err=True)
        sys.exit(1)


def _advance(bar: tqdm[NoReturn], count: int) -> None:
    bar.update(count - bar.n)


def _signer(services: Services) -> LogSigner:
    return LogSigner(services.settings, services.database, services.journal)


def _last_note(services: Services, error: LogError) -> str:
    """Where no fresh checkpoint can be had, the export ends at the last one."""
    with services.database.read() as connection:
        latest = checkpoints.latest(connection)
    if latest is None:
        raise error
    click.echo(f"bot: warning: no fresh checkpoint ({error}); the export ends at the last one.", err=True)
    return latest[1]
