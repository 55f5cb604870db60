"""The error tree. Adapters translate foreign errors into these; `web.errors` alone maps them to HTTP.

::

    BotError
    ├── SettingsInvalid      bad or missing environment variables, all of them named
    ├── UsageError           a command was given something it cannot use
    ├── Refusal              asked for something that may not be done now
    │   ├── Malformed        400: the request does not say what it must
    │   ├── Unprocessable    422: well-formed, but a value is out of range
    │   ├── NotSignedIn      401
    │   ├── NotAllowed       403
    │   ├── UnknownThing     404
    │   └── TooFast          429
    ├── DatabaseUnavailable  503: our database is busy or away; nothing is known to have changed
    └── LogError             the audit log cannot be written, signed or verified
"""

from __future__ import annotations


class BotError(Exception):
    """Anything this program raises on purpose. `str()` is one plain sentence, free of card data."""

    default = "Something went wrong."

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.default)


class SettingsInvalid(BotError):
    """Names every bad variable at once."""

    default = "The settings are invalid."

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("The settings are invalid:\n" + "\n".join(f"  {problem}" for problem in problems))


class UsageError(BotError):
    default = "The command cannot be carried out as given."


class Refusal(BotError):
    """A request that is turned down; nothing changed but, at most, the log."""

    status = 400
    title = "Refused"


class Malformed(Refusal):
    status, title = 400, "Malformed request"
    default = "The request is malformed."


class Unprocessable(Refusal):
    status, title = 422, "Value out of range"
    default = "A value is out of range."


class NotSignedIn(Refusal):
    status, title = 401, "Not signed in"
    default = "Sign in, or send a valid API key."


class NotAllowed(Refusal):
    status, title = 403, "Not allowed"
    default = "You may not do this."


class UnknownThing(Refusal):
    status, title = 404, "Not found"
    default = "There is no such thing here."


class TooFast(Refusal):
    status, title = 429, "Too many requests"
    default = "Too many requests; wait a moment and try again."


class DatabaseUnavailable(BotError):
    default = "Our database is busy or away. Nothing is known to have changed; do not take the card. Try again."


class LogError(BotError):
    default = "The audit log could not be used."


OUR_TROUBLE = (DatabaseUnavailable, LogError)
"""Nothing can be saved now. Twilio is not told so: its debugger would keep what the request held."""
