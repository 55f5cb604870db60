"""The one error for a part of the machine that the tests cannot do without."""

from __future__ import annotations


class MissingPartError(Exception):
    """`package` is Debian's name for the part, `reason` what was looked for in vain."""

    def __init__(self, package: str, reason: str) -> None:
        super().__init__(f"{package}: {reason}")
        self.package = package
        self.reason = reason
