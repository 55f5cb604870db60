"""PostgreSQL with two roles: the owner sets up, and the bot works without being able to rewrite the log."""

from __future__ import annotations

import io
import json
import logging
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from bot import logs
from bot.audit.check import read_vkey, verify_database
from bot.audit.entry import Draft
from bot.audit.journal import Journal
from bot.audit.keys import create_signing_key
from bot.audit.signing import LogSigner
from bot.cli import main
from bot.errors import UsageError
from bot.settings import Settings
from bot.simulator.client import SimulatorClient
from bot.storage import checkpoints, migrate, nodes, rights
from bot.storage.engine import Database
from bot.worker import Worker
from tests.audit.old_log import old_log
from tests.conftest import ALICE, CAROL
from tests.simulator.process import ACCOUNT, TOKEN, Simulator
from tests.support.postgres import Server
from tests.support.tamper import lift_guards
from tests.web.bench import Bench
from tests.web.conftest import bench_of, document, password, prepare, settings_of


@dataclass(frozen=True)
class House:
    """One database, and the addresses under which a superuser, its owner and the bot come to it."""

    admin_url: str
    owner_url: str
    bot_url: str
    bot: str


def address_of(database_url: str, role: str) -> str:
    """The same database for another role."""
    return make_url(database_url).set(username=role, password="x").render_as_string(hide_password=False)


@pytest.fixture
def house(postgres: Server) -> Iterator[House]:
    """Set up as the documentation says, by an owner who is no superuser."""
    url = postgres.new_database()
    owner, bot = (f"{kind}_{secrets.token_hex(4)}" for kind in ("owner", "bot"))
    admin = Database(url)
    with admin.write() as connection:
        for role in (owner, bot):
            connection.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'x'"))
        connection.execute(text(f"GRANT CREATE, USAGE ON SCHEMA public TO {owner} WITH GRANT OPTION"))
        connection.execute(text(f"ALTER SCHEMA public OWNER TO {owner}"))
    house = House(url, address_of(url, owner), address_of(url, bot), bot)
    database = Database(house.owner_url)
    migrate.upgrade(database)
    run_sql(database, rights.grants(bot))
    database.close()
    yield house
    admin.close()
    postgres.drop(url)
    admin = Database(str(postgres_maintenance(url)))
    with admin.write() as connection:
        connection.execute(text(f"DROP ROLE {owner}"))
        connection.execute(text(f"DROP ROLE {bot}"))
    admin.close()


def postgres_maintenance(url: str) -> str:
    return make_url(url).set(database="postgres").render_as_string(hide_password=False)


def run_sql(database: Database, script: str) -> None:
    """As psql would, but for BEGIN and COMMIT, which are ours here."""
    with database.write() as connection:
        for line in script.splitlines():
            if line not in {"BEGIN;", "COMMIT;"}:
                connection.execute(text(line))


@pytest.fixture
def bot(house: House) -> Iterator[Database]:
    database = Database(house.bot_url)
    yield database
    database.close()


FORBIDDEN = {
    "change an entry": "UPDATE entries SET actor = 'mallory'",
    "remove an entry": "DELETE FROM entries",
    "empty the log": "TRUNCATE entries",
    "change a checkpoint": "UPDATE checkpoints SET note = 'other'",
    "empty the checkpoints": "TRUNCATE checkpoints",
    "remove the head": "DELETE FROM head",
    "make another head": "INSERT INTO head VALUES (2, 0, '')",
    "move the base": "UPDATE base SET size = 1",
    "remove a call": "DELETE FROM calls",
    "drop a guard": "DROP TRIGGER guard_entries_update ON entries",
    "switch a guard off": "ALTER TABLE entries DISABLE TRIGGER guard_entries_update",
    "switch all guards off": "SET session_replication_role = replica",
    "add a trigger": "CREATE TRIGGER mine BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION guard_refuse()",
    "change what a guard does": "CREATE OR REPLACE FUNCTION guard_refuse() RETURNS trigger LANGUAGE plpgsql"
    " AS $$ BEGIN RETURN NEW; END $$",
    "alter a table": "ALTER TABLE entries ADD COLUMN more text",
    "drop a table": "DROP TABLE entries",
    "make a table": "CREATE TABLE mine (id integer)",
    "pretend another schema": "UPDATE alembic_version SET version_num = '0'",
    "make the table its own": "ALTER TABLE entries OWNER TO CURRENT_USER",
}


@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_bot_role_cannot(what: str, bot: Database) -> None:
    Journal(bot, "n").append(Draft(type="tested"))
    with pytest.raises(DBAPIError, match=r"permission denied|must be owner"), bot.write() as connection:
        connection.execute(text(FORBIDDEN[what]))
    assert verify_database(bot, None).ok is True


def test_bot_role_cannot_take_more_rights(bot: Database) -> None:
    """PostgreSQL only warns of it."""
    with bot.write() as connection:
        connection.execute(text("GRANT ALL ON entries TO CURRENT_USER"))
    with bot.read() as connection:
        assert rights.excess(connection) == ()


def test_head_does_not_go_back_for_the_bot_role(bot: Database) -> None:
    """The bot must grow the head, so that this right stays; a guard keeps it from shrinking."""
    Journal(bot, "n").append(Draft(type="tested"))
    with pytest.raises(DBAPIError, match="only ever appended to"), bot.write() as connection:
        connection.execute(text("UPDATE head SET size = 0, frontier = ''"))


def test_bot_role_has_no_more_than_it_needs_and_the_owner_has(house: House, bot: Database) -> None:
    with bot.read() as connection:
        assert rights.excess(connection) == ()
        assert rights.may_prune(connection) is False
    owner = Database(house.owner_url)
    with owner.read() as connection:
        assert rights.excess(connection) == ("owns the log's tables",)
        assert rights.may_prune(connection) is True
    owner.close()


def test_superuser_is_said_to_be_one(postgres: Server) -> None:
    database = Database(postgres.new_database())
    with database.read() as connection:
        assert rights.excess(connection) == (), "there is no log yet"
    migrate.upgrade(database)
    with database.read() as connection:
        assert rights.excess(connection) == ("is a superuser",)
    database.close()


def test_each_right_too_many_is_named(house: House, bot: Database) -> None:
    owner = Database(house.owner_url)
    for grant, named in (
        ("UPDATE (actor) ON entries", "has UPDATE on entries"),
        ("DELETE ON entries", "has DELETE on entries"),
        ("TRUNCATE ON entries", "has TRUNCATE on entries"),
        ("TRIGGER ON entries", "has TRIGGER on entries"),
        ("UPDATE (note) ON checkpoints", "has UPDATE on checkpoints"),
        ("TRUNCATE ON checkpoints", "has TRUNCATE on checkpoints"),
        ("DELETE ON head", "has DELETE on head"),
        ("UPDATE ON base", "has UPDATE on base"),
    ):
        run_sql(owner, f"GRANT {grant} TO {house.bot};")
        with bot.read() as connection:
            assert rights.excess(connection) == (named,)
        run_sql(owner, rights.grants(house.bot))
        with bot.read() as connection:
            assert rights.excess(connection) == ()
    owner.close()


@pytest.mark.parametrize("of", ["schema", "database"])
def test_owner_of_the_schema_or_database_is_said_to_be_able_to_drop_the_log(
    of: str, house: House, bot: Database
) -> None:
    """PostgreSQL lets the owner of a schema drop what is in it; of a new database's it is the database's owner."""
    admin = Database(house.admin_url)
    if of == "schema":
        run_sql(admin, f"ALTER SCHEMA public OWNER TO {house.bot};")
    else:
        name = make_url(house.owner_url).database
        run_sql(
            admin, f'ALTER SCHEMA public OWNER TO pg_database_owner;\nALTER DATABASE "{name}" OWNER TO {house.bot};'
        )
    admin.close()
    with bot.read() as connection:
        assert rights.excess(connection) == ("owns the log's schema, so it may drop the tables",)
    with bot.write() as connection:
        connection.execute(text("DROP TABLE entries"))


def test_sqlite_has_no_roles_to_speak_of(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'bot.sqlite3'}")
    migrate.upgrade(database)
    with database.read() as connection:
        assert rights.excess(connection) == ()
        assert rights.may_prune(connection) is True
    database.close()


@pytest.mark.parametrize("name", ["", "Bot", 'bot"; DROP TABLE entries', "bot user", "a" * 64, "1bot"])
def test_name_that_is_no_plain_role_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        rights.grants(name)


# At start


@pytest.fixture
def said() -> Iterator[Callable[[Database], list[str]]]:
    """The events in the process's log when it starts with this database."""
    before = logging.getLogger().handlers[:]
    logs.set_up()
    (handler,) = (one for one in logging.getLogger().handlers if type(one) is logging.StreamHandler)

    def start(database: Database) -> list[str]:
        stream = io.StringIO()
        handler.setStream(stream)
        rights.warn(database)
        return [json.loads(line)["event"] for line in stream.getvalue().splitlines()]

    yield start
    logging.getLogger().handlers[:] = before


def test_start_with_more_rights_than_needed_is_a_warning(
    house: House, bot: Database, said: Callable[[Database], list[str]]
) -> None:
    assert said(bot) == []
    owner = Database(house.owner_url)
    assert said(owner) == ["database.more_rights_than_needed"]
    with owner.write() as connection:
        lift_guards(connection)
    assert said(bot) == ["database.guards_missing"]
    owner.close()


def test_start_without_a_database_says_nothing_of_rights(said: Callable[[Database], list[str]]) -> None:
    database = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    assert [event for event in said(database) if event != "database.away"] == []
    database.close()


# The bot at work under its role


def test_whole_bot_works_under_its_role(
    house: House, simulator: Simulator, twilio: SimulatorClient, tmp_path: Path
) -> None:
    prepare(house.bot_url, password())  # which also shows that `init-db` does no harm under this role
    settings = settings_of(simulator.url, house.bot_url, tmp_path)
    with bench_of(settings, twilio, document()) as bench:
        call = bench.place_call(ALICE)
        assert bench.api().pause(call).get_json()["safe_to_take_card"] is True
        assert bench.recording_states(call) == ["paused"]
        assert bench.api().resume(call).status_code == 200
        assert bench.signed_in(ALICE).press(call, "Pause").status_code == 200
        twilio.hang_up(call)
        bench.deliver(call)
        assert bench.api().call(call)["status"] == "completed"
        carol = bench.signed_in(CAROL)
        assert call in carol.page("/review").html
        assert carol.post("/review/verify", carol.token("/review")).status_code == 200
        assert bench.app.test_client().get("/readyz").status_code == 200
        work(bench, settings)
        assert "call.ended" in bench.types(call)
        assert verify_database(bench.services.database, None).ok is True


def test_bot_is_not_ready_until_it_was_granted_what_an_update_brought(
    house: House, simulator: Simulator, twilio: SimulatorClient, tmp_path: Path
) -> None:
    with bench_of(settings_of(simulator.url, house.bot_url, tmp_path), twilio, document()) as bench:
        client = bench.app.test_client()
        assert client.get("/readyz").status_code == 200
        less_rights(house)
        reply = client.get("/readyz")
        told = "rights are missing on callers, users: run `bot grant-sql`"
        assert (reply.status_code, reply.get_json()["database"]) == (503, told)
        as_owner(house, rights.grants(house.bot))
        assert client.get("/readyz").status_code == 200


def test_start_without_rights_that_are_needed_is_an_error(
    house: House, bot: Database, said: Callable[[Database], list[str]]
) -> None:
    assert said(bot) == []
    less_rights(house)
    assert said(bot) == ["database.rights_missing"]


def less_rights(house: House) -> None:
    as_owner(house, f"REVOKE ALL ON callers FROM {house.bot};\nREVOKE UPDATE ON users FROM {house.bot};")


def as_owner(house: House, script: str) -> None:
    owner = Database(house.owner_url)
    run_sql(owner, script)
    owner.close()


def work(bench: Bench, settings: Settings) -> None:
    """What the worker does, each of its duties once."""
    create_signing_key(settings.audit_signing_key_file)
    services = bench.services
    worker = Worker(services.database, services.journal, services.control, None, services.payments.tidy)
    worker.sweep()
    worker._do_duties()  # noqa: SLF001 - all of them, and once
    worker.close()
    LogSigner(settings, services.database, services.journal).sign()
    with services.database.read() as connection:
        assert checkpoints.latest(connection) is not None
        assert nodes.last_seen(connection, "worker") is not None


def test_commands_work_under_the_bots_role_too(house: House, tmp_path: Path) -> None:
    env = {
        "SECRET_KEY": "a secret of the tests",
        "PUBLIC_BASE_URL": "http://127.0.0.1:8000",
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "AUDIT_ORIGIN": "example.org/log",
        "AUDIT_SIGNING_KEY_FILE": str(tmp_path / "signing-key.pem"),
        "DATABASE_URL": house.bot_url,
    }
    for arguments, typed in (
        (["init-db"], None),
        (["create-user", "dora", "--role", "reviewer"], None),
        (["set-password", "dora", "--password-stdin"], "typed by hand 2026\n"),
        (["disable-user", "dora"], None),
        (["create-api-key", "desk"], None),
        (["revoke-api-key", "desk"], None),
        (["audit", "checkpoint"], None),
        (["audit", "verify"], None),
        (["audit", "export", str(tmp_path / "out")], None),
    ):
        reply = CliRunner().invoke(main, arguments, input=typed, env=env)
        assert (arguments, reply.exit_code, reply.stderr) == (arguments, 0, "")
    assert CliRunner().invoke(main, ["grant-sql", house.bot]).stdout == rights.grants(house.bot)


# Removing archived entries is the owner's


def test_owner_prunes_and_the_bot_role_cannot(house: House, tmp_path: Path) -> None:
    owner, bot = Database(house.owner_url), Database(house.bot_url)
    log = old_log(owner, house.owner_url, tmp_path)
    as_bot = {"DATABASE_URL": house.bot_url}
    options = ["audit", "archive", "--before", "2015-01-01"]
    refused = log.run(*options, "--prune", str(tmp_path / "old"), **as_bot)
    assert (refused.exit_code, "run this as the owner of the tables" in refused.stderr) == (2, True)
    assert not (tmp_path / "old").exists()
    assert log.run(*options, str(tmp_path / "old"), **as_bot).exit_code == 0, "archiving is the bot's too"
    assert log.archive("old", "--prune").exit_code == 0
    journal = Journal(bot, "after")
    journal.append(Draft(type="tested"))
    assert log.positions()[0] == 512
    assert verify_database(bot, read_vkey(tmp_path / "signing-key.pem.vkey")).ok is True
    with pytest.raises(DBAPIError, match="permission denied"), bot.write() as connection:
        connection.execute(text("DELETE FROM entries WHERE position < 512"))
    for database in (owner, bot):
        database.close()
