"""The commands that hand the log out: whole, in part, or of one call."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from tqdm import tqdm

from bot.audit import verifier
from bot.audit.anchors.anchor import AnchorFailed
from bot.audit.anchors.choice import chosen
from bot.audit.anchors.timestamp import TimestampAnchor
from bot.audit.check import read_vkey
from bot.audit.entry import JSON, Draft
from bot.audit.export import unfinished_note, write_export
from bot.audit.folders import TOKEN, refuse_taken, write
from bot.audit.part import Signed, write_consistency, write_part
from bot.audit.signing import LogSigner
from bot.audit.verify import UNFINISHED
from bot.cli_common import open_services, plainly
from bot.errors import BotError, LogError, UsageError
from bot.review import filters
from bot.review.bundle import signed_log, write_evidence
from bot.review.evidence import PAGE
from bot.review.pages import is_told
from bot.review.spoken import write_table
from bot.storage import checkpoints, parts
from bot.storage.parts import Part
from bot.telephony.webhooks import is_sid
from bot.web.services import Services

FOLDER = click.argument("folder", type=click.Path(path_type=Path))


@click.command("export")
@FOLDER
@click.option("--call", "calls", multiple=True, metavar="CA…", help="Only entries of this call; may be repeated.")
@click.option("--from", "since", metavar="TIME", help="Only entries from then on: 2026-11-22T10:00:00Z, or a day.")
@click.option("--to", "until", metavar="TIME", help="Only entries up to then.")
@click.option(
    "--since-checkpoint",
    "older",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A checkpoint that the reader kept: prove that the log continues it.",
)
@click.option("--csv", "is_spoken", is_flag=True, help="Add entries.csv, with a sentence for each entry.")
@plainly
def audit_export(
    folder: Path, calls: tuple[str, ...], since: str | None, until: str | None, older: Path | None, is_spoken: bool
) -> None:
    """Write the log up to a fresh checkpoint into a new FOLDER, for a checker that trusts nobody here.

    An interrupted export of the whole log goes on where it was. With --call, --from or --to it is a part, which proves
    that its entries are in the log, not that they are all.
    """
    asked = {"call": ", ".join(calls), "from": since or "", "to": until or ""}
    part = _part(calls, since, until)
    older_note = _text(older) if older else None
    if part is not None or not (folder / UNFINISHED).is_file():
        refuse_taken(folder)
    services = open_services()
    vkeys = _vkeys(services)
    note = (unfinished_note(folder, vkeys) if part is None else None) or _fresh_note(services)
    log = signed_log(services.database, note, vkeys)
    if part is None and log.base.size:
        raise UsageError(
            f"The first {log.base.size} entries live in an archive only: hand that out, and export the rest as a part"
            " (--from)."
        )
    if older_note is not None:
        log.older(older_note)
    _note_export(services, log, {name: value for name, value in asked.items() if value}, calls)
    finish = write_table if is_spoken else None
    with _progress(log.checkpoint().size) as progress:
        if part is None:
            count = _write_whole(folder, log, older_note, progress, finish)
        else:
            found = parts.find(services.database, part, log.checkpoint().size)
            count = write_part(folder, log, found, older_note, progress, finish)
    _stamp(services, folder, log.note)
    click.echo(f"Exported {count} entries to {folder}. Verify it with: bot audit verify {folder}")
    _check_own(folder, vkeys, older_note)


@click.command("evidence")
@click.argument("sid", metavar="CA…")
@FOLDER
@plainly
def audit_evidence(sid: str, folder: Path) -> None:
    """Write what the log says of one call into a new FOLDER, with proofs and a page to print, and of no other call."""
    _part((sid,), None, None)
    refuse_taken(folder)
    services = open_services()
    vkeys = _vkeys(services)
    with services.database.read() as connection:
        if not is_told(connection, sid):
            raise UsageError("The log says nothing of this call.")
    log = signed_log(services.database, _fresh_note(services), vkeys)
    _note_export(services, log, {"call": sid}, (sid,))
    with _progress(log.checkpoint().size) as progress:
        count = write_evidence(folder, services.database, log, sid, progress)
    _stamp(services, folder, log.note)
    click.echo(f"Wrote {count} entries to {folder}; the page to print is {PAGE}.")
    _check_own(folder, vkeys, None)


def _write_whole(
    folder: Path,
    log: Signed,
    older_note: str | None,
    progress: Callable[[int], None],
    finish: Callable[[Path], None] | None,
) -> int:
    def end(made: Path) -> None:
        if older_note is not None:
            write_consistency(made, log, older_note)
        if finish:
            finish(made)

    return write_export(folder, log.read, log.note, log.vkeys, progress, end)


def say_of_part(folder: Path, vkey: str | None) -> int:
    """What a part of the log proves, in words; the exit code."""
    try:
        click.echo(verifier.check(folder, (vkey or "").split()))
    except (ValueError, OSError) as error:
        click.echo(f"NOT PROVEN: {error}.")
        return 1
    return 0


def _check_own(folder: Path, vkeys: str, older_note: str | None) -> None:
    try:
        verifier.check(folder, vkeys.split(), older_note)
    except (ValueError, OSError) as error:
        text = f"this export does not verify ({error}). `bot audit verify` tells whether the log does"
        click.echo(f"bot: warning: {text}; if so, export it anew, into another folder.", err=True)
        sys.exit(1)


def _part(calls: tuple[str, ...], since: str | None, until: str | None) -> Part | None:
    """What was asked for; None for the whole log."""
    if not calls and since is None and until is None:
        return None
    for sid in calls:
        if not is_sid(sid, "CA"):
            raise UsageError("A call is named by its CallSid: CA and 32 hexadecimal digits.")
    query = filters.read({"from": since or "", "to": until or ""})
    if query.problems:
        raise UsageError(" ".join(query.problems))
    return Part(calls, query.filter.since, query.filter.until)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"{path} cannot be read.") from None


def _vkeys(services: Services) -> str:
    """The log's public keys, one a line."""
    return read_vkey(services.settings.vkey_file) or ""


def _fresh_note(services: Services) -> str:
    """A new checkpoint; where none can be had, the last one, with a warning."""
    signer = LogSigner(services.settings, services.database, services.journal)
    try:
        return signer.sign()
    except LogError as error:
        with services.database.read() as connection:
            latest = checkpoints.latest(connection)
        if latest is None:
            raise
        click.echo(f"bot: warning: no fresh checkpoint ({error}); the export ends at the last one.", err=True)
        return latest[1]


def _stamp(services: Services, folder: Path, note: str) -> None:
    """A time-stamp token over exactly this checkpoint (RFC 3161), where an authority is among the anchors."""
    for anchor in chosen(services.settings):
        if isinstance(anchor, TimestampAnchor):
            try:
                write(folder / TOKEN, anchor.keep(note))
                return
            except AnchorFailed as error:
                click.echo(f"bot: warning: the checkpoint has no time stamp ({error}).", err=True)


def _note_export(services: Services, log: Signed, asked: dict[str, str], calls: tuple[str, ...]) -> None:
    """Before anything is written, so that nothing is handed out without its entry, as far as the log takes any."""
    detail: dict[str, JSON] = {"size": log.checkpoint().size}
    if asked:
        detail["filter"] = asked
    with services.database.read() as connection:
        call = calls[0] if len(calls) == 1 and is_told(connection, calls[0]) else None
    try:
        services.journal.append(Draft(type="log.exported", actor="operator", call=call, detail=detail))
    except (BotError, ValueError) as error:
        click.echo(f"bot: warning: this export could not be noted in the log ({error})", err=True)


@contextmanager
def _progress(size: int) -> Iterator[Callable[[int], None]]:
    with tqdm(total=size, unit=" entries", disable=not sys.stderr.isatty()) as bar:

        def advance(count: int) -> None:
            bar.update(count - bar.n)

        yield advance


COMMANDS: tuple[click.Command, ...] = (audit_export, audit_evidence)
