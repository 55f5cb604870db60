"""The commands. Exit codes: 0 good, 1 the log does not verify, 2 usage or environment."""

from __future__ import annotations

import re
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

import click

from bot import cli_keeping, cli_privacy, logs
from bot import demo as demo_room
from bot.app import signer_watch, signing_loop, warn_of_what_is_absent, wire
from bot.audit.archive_check import is_archive
from bot.audit.check import read_vkey, verify_database
from bot.audit.entry import Draft
from bot.audit.journal import Transaction
from bot.audit.keys import create_signing_key, load_signing_key, public_vkey
from bot.audit.parallel import with_jobs
from bot.audit.signing import LogSigner, write_vkey
from bot.audit.verify import PROOFS, VKEY, Report, verify_export
from bot.audit.whole import verify_alone, verify_whole
from bot.audit_export_cli import COMMANDS as EXPORT_COMMANDS
from bot.audit_export_cli import say_of_part
from bot.audit_signer_cli import COMMANDS as SIGNER_COMMANDS
from bot.audit_signer_cli import anchored_database, anchored_export
from bot.cli_common import open_services, plainly
from bot.errors import BotError, UsageError
from bot.life.process import Life
from bot.settings import Settings
from bot.sinks.stream import copying
from bot.storage import api_keys, migrate, rights, users
from bot.storage.users import Role, User
from bot.web.passwords import hash_password, new_password, weakness
from bot.web.services import Services
from bot.worker import Worker

NAME = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """The PCI pause bot: pauses call recordings while a card is given, and proves it."""


@main.command("init-db")
@plainly
def init_db() -> None:
    """Create or migrate the database; make the signing key if there is none, but with AUDIT_SIGNER=process."""
    services = open_services()
    settings = services.settings
    migrate.upgrade(services.database)
    click.echo("The database is ready.")
    if settings.audit_signer == "process":
        if not settings.vkey_file.exists():
            click.echo("There is no signing key yet: make it as the signer's user, with `bot audit keygen`.")
        return
    path = settings.audit_signing_key_file
    is_new = not path.exists()
    key = create_signing_key(path) if is_new else load_signing_key(path)
    write_vkey(settings.vkey_file, public_vkey(settings.audit_origin, key))
    if is_new:
        services.journal.append(Draft(type="key.created", actor="operator", detail={"origin": settings.audit_origin}))
        click.echo(f"A new signing key is in {path}; keep a copy of it safe.")


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

    open_services().journal.write(change)
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

    open_services().journal.write(found)


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

    open_services().journal.write(change)
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

    open_services().journal.write(change)
    click.echo(f"Revoked {name}.")


@main.command()
@plainly
def worker() -> None:
    """Run the worker: due holds, dead claims, checkpoints."""
    logs.set_up()
    settings = Settings.read()
    services = wire(settings, "worker")
    rights.warn(services.database)
    signing = signing_loop(services) if settings.audit_signer == "worker" else signer_watch(services)
    warn_of_what_is_absent(settings)
    life = Life(services.journal, "worker", settings)
    runner = Worker(services.database, services.journal, services.control, signing, services.payments.tidy, life.beat)
    runner.stop_on_signals()
    with copying(settings, services.database, services.journal), life.living():
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


for _command in (*EXPORT_COMMANDS, *SIGNER_COMMANDS):
    audit.add_command(_command)


@audit.command("verify")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--vkey", "vkey_file", type=click.Path(path_type=Path), help="The log's public key, got by another way.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes for an export.")
@click.option(
    "--archive", "archives", type=click.Path(path_type=Path), multiple=True,
    help="With the log, verify this archive as its beginning; may be repeated.",
)  # fmt: skip
@click.option(
    "--anchor", "anchors", type=click.Path(exists=True, path_type=Path), multiple=True,
    help="Checkpoints kept elsewhere: a file of notes, or a folder of .note files and .tsr time stamps; repeatable.",
)  # fmt: skip
@plainly
def audit_verify(
    folder: Path | None, vkey_file: Path | None, jobs: int, archives: tuple[Path, ...], anchors: tuple[Path, ...]
) -> None:
    """Recompute the whole log, or an exported or archived FOLDER, and compare it with the signed checkpoints."""
    if folder is not None:
        if archives:
            raise UsageError("--archive goes with the database's log, not with a folder.")
        report = _verified_folder(folder, vkey_file, anchors, jobs)
    else:
        services = open_services()
        database, vkey = services.database, _vkey(vkey_file) if vkey_file else read_vkey(services.settings.vkey_file)
        report = verify_whole(database, vkey, archives) if archives else verify_database(database, vkey)
        if anchors:
            report = anchored_database(report, database, anchors, _vkey(vkey_file or services.settings.vkey_file))
        _note_verified(services, report)
    click.echo(report.summary())
    for problem in report.problems:
        click.echo(f"  {problem}")
    if folder is not None and vkey_file is None:
        click.echo("bot: warning: the key came with the folder, so a forger's own would do: use --vkey", err=True)
    sys.exit(0 if report.ok else 1)


def _verified_folder(folder: Path, vkey_file: Path | None, anchors: tuple[Path, ...], jobs: int) -> Report:
    """An export or an archive; of a part, what can be said of it is said at once."""
    try:
        folder.stat()
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror}.") from None
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.")
    vkey = _vkey(vkey_file) if vkey_file else None
    if (folder / PROOFS).exists():
        if anchors:
            raise UsageError(
                "A part cannot be compared with anchors: --anchor goes with a whole export or the log."
                " Use verify.py with --old-checkpoint."
            )
        sys.exit(say_of_part(folder, vkey))
    report = (
        verify_alone(folder, vkey) if is_archive(folder) else verify_export(folder, vkey, hash_file=with_jobs(jobs))
    )
    return anchored_export(report, folder, anchors, _vkey(vkey_file or folder / VKEY)) if anchors else report


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
    if not vkey:
        raise UsageError(f"There is no file {path}." if vkey is None else f"There is no key in {path}.")
    return vkey


@audit.command("checkpoint")
@plainly
def audit_checkpoint() -> None:
    """Sign the log as it is now; print the signed note."""
    click.echo(_signer(open_services()).sign(), nl=False)


def _signer(services: Services) -> LogSigner:
    return LogSigner(services.settings, services.database, services.journal)


main.add_command(cli_keeping.grant_sql)
main.add_command(cli_privacy.privacy)
audit.add_command(cli_keeping.archive)
