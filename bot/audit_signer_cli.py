"""The commands around the signer: its own process, its keys, its anchors."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import click

from bot import logs
from bot.app import signing_loop, warn_of_what_is_absent, wire
from bot.audit.anchored import Anchors, read_sources, with_anchors, write_pairs
from bot.audit.anchors.timestamp import system_ca_file
from bot.audit.archive_check import is_archive, span
from bot.audit.keyring import vkey_file
from bot.audit.keys import create_signing_key, public_vkey
from bot.audit.merkle import Frontier
from bot.audit.rotation import Rotation
from bot.audit.signing import LogSigner, write_vkey
from bot.audit.verify import ENTRIES, Report
from bot.cli_common import open_services, plainly
from bot.errors import UsageError
from bot.life.process import Life
from bot.settings import Settings
from bot.storage import anchors as anchorings
from bot.storage import entries, rights
from bot.storage.engine import Database

LOOK_SECONDS = 0.2


@click.command("signer")
@plainly
def audit_signer() -> None:
    """Sign the log and send checkpoints to the anchors until ended, in a process that may be another user's.

    Set AUDIT_SIGNER=process, so that the worker does not sign and needs no key.
    """
    logs.set_up()
    settings = Settings.read()
    services = wire(settings, "signer")
    rights.warn(services.database)
    loop = signing_loop(services)
    warn_of_what_is_absent(settings)
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: stopping.append(received))
    life = Life(services.journal, "signer", settings)
    life.beat_beside()
    with life.living():
        loop.start()
        while not stopping:
            time.sleep(LOOK_SECONDS)
        loop.stop()
    services.control.close()
    services.database.close()


@click.command("keygen")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@plainly
def audit_keygen(file: Path | None) -> None:
    """Make a signing key in FILE (AUDIT_SIGNING_KEY_FILE), for its owner alone; print the public key."""
    settings = Settings.read()
    path = file or settings.audit_signing_key_file
    vkey = public_vkey(settings.audit_origin, create_signing_key(path))
    write_vkey(vkey_file(path), vkey)
    click.echo(vkey)


@click.group("rotate-key")
def audit_rotate_key() -> None:
    """Replace the signing key: begin, let both keys sign for a while, hand out the new public key, finish."""


@audit_rotate_key.command("begin")
@plainly
def begin() -> None:
    """Make the next key beside the current one; from now on both sign every checkpoint."""
    current, coming = _rotation().begin()
    click.echo(f"Both keys sign now. The current one:\n{current}\nThe next one:\n{coming}")
    click.echo("Hand out the next one, then run: bot audit rotate-key finish")


@audit_rotate_key.command("finish")
@plainly
def finish() -> None:
    """Make the next key the current one. The private key before it is gone; its public key stays published."""
    before, now = _rotation().finish()
    click.echo(f"This key signs now:\n{now}\nFor what was signed before, keep:\n{before}")


def _rotation() -> Rotation:
    services = open_services()
    settings, database, journal = services.settings, services.database, services.journal
    signer = LogSigner(settings, database, journal)
    return Rotation(signer, database, journal, settings.audit_origin, settings.audit_signing_key_file)


@click.command("anchors")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@plainly
def audit_anchors(folder: Path) -> None:
    """Write each time stamp and the checkpoint that it is of into FOLDER, and print how to verify them with openssl."""
    services = open_services()
    with services.database.read() as connection:
        kept = anchorings.with_receipt(connection)
    if not kept:
        raise UsageError("There is no time stamp yet: name an authority in AUDIT_ANCHORS (rfc3161:https://…).")
    names = write_pairs(folder, kept)
    ca_file = services.settings.audit_tsa_ca_file or system_ca_file() or "the-authority.pem"
    click.echo(f"Wrote {len(names)} time stamps to {folder}. Verify each of them with:", err=True)
    for name in names:
        files = (f"{folder / name}.note", "-in", f"{folder / name}.tsr", "-CAfile", f"{ca_file}")
        click.echo(shlex.join(["openssl", "ts", "-verify", "-data", *files]))


def anchored_database(report: Report, database: Database, sources: Sequence[Path], vkeys: str) -> Report:
    """The report on the database's log with what the anchors tell."""
    with database.read() as connection:
        base = entries.base(connection)
        anchors = _read(sources, vkeys, base.size)
        return with_anchors(report, entries.bodies(connection, base.size, anchors.size), anchors, base=base)


def anchored_export(report: Report, folder: Path, sources: Sequence[Path], vkeys: str) -> Report:
    """The same for an export, which may rightly be older than what was anchored; but then it does not show that. An
    archive is compared with what ends in it.
    """
    base, end = span(folder) if is_archive(folder) else (Frontier(), None)
    anchors = _read(sources, vkeys, base.size, end)
    try:
        with (folder / ENTRIES).open("rb") as file:
            bodies = (line.removesuffix(b"\n") for line in file)
            return with_anchors(report, bodies, anchors, "its tail was cut, or the export is older", base)
    except OSError:
        return report  # which says so already


def _read(sources: Sequence[Path], vkeys: str, first: int, last: int | None = None) -> Anchors:
    """What the anchors have of sizes from `first` to `last`; says how many those are, and how many others."""
    anchors = read_sources(sources, vkeys)
    compared = anchors.within(first, last)
    if anchors.left_out:
        click.echo(f"bot: warning: {anchors.left_out} pieces of the anchors are no whole notes", err=True)
    count = len(compared.checkpoints)
    click.echo(f"Compared with {count} anchored {'checkpoint' if count == 1 else 'checkpoints'}.")
    if others := len(anchors.checkpoints) - len(compared.checkpoints):
        click.echo(f"bot: warning: not compared, as they end in another archive or the log: {others}", err=True)
    return compared


COMMANDS: tuple[click.Command, ...] = (audit_signer, audit_keygen, audit_rotate_key, audit_anchors)
