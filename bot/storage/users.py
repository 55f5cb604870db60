"""People who sign in, and the contacts by which Twilio names them on a leg."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from bot.audit.journal import Transaction
from bot.storage.schema import contacts, users


class Role(StrEnum):
    """Who reviews does not pause, who pauses does not review (invariant 10)."""

    AGENT = "agent"
    REVIEWER = "reviewer"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"


class User(NamedTuple):
    """`session` grows whenever all of the user's sessions must end."""

    name: str
    role: Role
    password: str
    is_temporary: bool
    is_disabled: bool
    session: int
    failures: int
    locked_until: datetime | None


_columns = (
    users.c.name,
    users.c.role,
    users.c.password,
    users.c.is_temporary,
    users.c.is_disabled,
    users.c.session,
    users.c.failures,
    users.c.locked_until,
)


def find(connection: Connection, name: str) -> User | None:
    row = connection.execute(select(*_columns).where(users.c.name == name)).one_or_none()
    return None if row is None else User(**{**row._mapping, "role": Role(row.role)})  # noqa: SLF001 - SQLAlchemy's public name


def lock(transaction: Transaction, name: str) -> User | None:
    transaction.connection.execute(select(users.c.name).where(users.c.name == name).with_for_update())
    return find(transaction.connection, name)


def add(transaction: Transaction, name: str, role: Role, password: str, *, is_temporary: bool) -> None:
    transaction.connection.execute(
        insert(users).values(
            name=name,
            role=role.value,
            password=password,
            is_temporary=is_temporary,
            is_disabled=False,
            session=1,
            failures=0,
            created_at=transaction.now(),
        )
    )


def set_password(transaction: Transaction, user: User, password: str, *, is_temporary: bool) -> None:
    """All sessions of this user end."""
    _change(
        transaction, user.name, password=password, is_temporary=is_temporary, session=user.session + 1, failures=0,
        locked_until=None,
    )  # fmt: skip


def disable(transaction: Transaction, user: User) -> None:
    """At once: every session ends with it (PCI DSS 8.2.5)."""
    _change(transaction, user.name, is_disabled=True, session=user.session + 1)


def note_sign_in(transaction: Transaction, user: User) -> None:
    _change(transaction, user.name, failures=0, locked_until=None, signed_in_at=transaction.now())


def note_failure(transaction: Transaction, user: User, locked_until: datetime | None) -> None:
    failures = 0 if locked_until else user.failures + 1
    _change(transaction, user.name, failures=failures, locked_until=locked_until or user.locked_until)


def _change(transaction: Transaction, name: str, **values: object) -> None:
    transaction.connection.execute(update(users).where(users.c.name == name).values(**values))


def set_contacts(transaction: Transaction, name: str, wanted: tuple[str, ...]) -> None:
    transaction.connection.execute(delete(contacts).where(contacts.c.user == name))
    for contact in wanted:
        transaction.connection.execute(insert(contacts).values(contact=normal_contact(contact), user=name))


def owner_of(connection: Connection, wanted: tuple[str, ...]) -> str | None:
    """Who has one of these contacts already."""
    query = select(contacts.c.user).where(contacts.c.contact.in_([normal_contact(one) for one in wanted])).limit(1)
    return connection.execute(query).scalar_one_or_none()


class At(NamedTuple):
    """Who of ours is on a leg. Only agents come to own a call by that: a supervisor may be there to listen."""

    name: str
    is_agent: bool


def at(connection: Connection, *candidates: str | None) -> At | None:
    """The user whose contact is the first of these that is one; None for a customer."""
    wanted = [normal_contact(candidate) for candidate in candidates if candidate]
    if not wanted:
        return None
    query = select(contacts.c.contact, contacts.c.user, users.c.role).join(users, users.c.name == contacts.c.user)
    rows = connection.execute(query.where(contacts.c.contact.in_(wanted), users.c.is_disabled.is_(False)))
    known = {row.contact: At(row.user, Role(row.role) is Role.AGENT) for row in rows}
    return next((known[contact] for contact in wanted if contact in known), None)


def agents_contacts(connection: Connection, name: str | None = None) -> list[str]:
    """Where agents who may work can be rung: this one, or all, in the order of their names."""
    query = select(contacts.c.contact).join(users, users.c.name == contacts.c.user)
    working = query.where(users.c.role == Role.AGENT.value, users.c.is_disabled.is_(False))
    wanted = working if name is None else working.where(users.c.name == name)
    return list(connection.execute(wanted.order_by(users.c.name, contacts.c.contact)).scalars())


def normal_contact(contact: str) -> str:
    """`client:` identities as they are; SIP addresses without parameters, in lower case; numbers without spaces."""
    contact = contact.strip()
    if contact.lower().startswith(("sip:", "sips:")):
        return contact.lower().split(";", 1)[0].split("?", 1)[0]
    if contact.lower().startswith("client:"):
        return "client:" + contact[7:]
    return "".join(character for character in contact if character not in " ()-.")
