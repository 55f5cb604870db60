"""Passwords: argon2id, at most two checks at once (each costs 64 MiB), and the rules of PCI DSS 8.3.4-8.3.6."""

from __future__ import annotations

import secrets
import threading
from datetime import timedelta
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

CHECKS_AT_ONCE = 2
CHECK_WAIT_SECONDS = 10
LENGTH_MIN = 12
LENGTH_MAX = 200
FAILURES_MAX = 10
LOCKED_FOR = timedelta(minutes=30)

_hasher = PasswordHasher()
_checks = threading.BoundedSemaphore(CHECKS_AT_ONCE)


@cache
def _nobody() -> str:
    """The hash that an unknown user's password is compared with."""
    return _hasher.hash(secrets.token_hex(16))


def hash_password(password: str) -> str:
    with _checks:
        return _hasher.hash(password)


def is_password(stored: str | None, password: str) -> bool:
    """Takes as long for an unknown user (`stored` None) as for a known one."""
    if len(password) > LENGTH_MAX or not _checks.acquire(timeout=CHECK_WAIT_SECONDS):
        return False
    try:
        _hasher.verify(stored or _nobody(), password)
        return stored is not None
    except (VerificationError, InvalidHashError):
        return False
    finally:
        _checks.release()


def weakness(password: str) -> str | None:
    """Why this password is not good enough; None if it is."""
    if len(password) < LENGTH_MIN:
        return f"A password has at least {LENGTH_MIN} characters."
    if len(password) > LENGTH_MAX:
        return f"A password has at most {LENGTH_MAX} characters."
    if not any(c.isdigit() for c in password) or not any(c.isalpha() for c in password):
        return "A password has letters and digits."
    return None


def new_password() -> str:
    """A random one that meets the rules: 20 characters, about 100 bits."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    while True:
        password = "-".join("".join(secrets.choice(alphabet) for _ in range(5)) for _ in range(4))
        if weakness(password) is None:
            return password
