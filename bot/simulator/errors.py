"""What the simulator refuses, and how each side is told.

SimulatorError
  TwilioError        a refusal of the REST API, in Twilio's JSON form
  ControlError       a refusal of the control API, as ``{"error": ...}``
  FlowBroken         a call's TwiML cannot be had, or not be understood: an entry in the debugger
"""

from __future__ import annotations


class SimulatorError(Exception):
    """Anything the simulator says no to."""


class TwilioError(SimulatorError):
    """A refusal with Twilio's own code, and the HTTP status Twilio sends with it."""

    def __init__(self, http: int, code: int, message: str) -> None:
        super().__init__(message)
        self.http = http
        self.code = code
        self.message = message


class ControlError(SimulatorError):
    """A refusal of the control API: 400 malformed, 403 foreign, 404 unknown, 409 not possible now."""

    def __init__(self, http: int, message: str) -> None:
        super().__init__(message)
        self.http = http
        self.message = message


class FlowBroken(SimulatorError):
    """TwiML that cannot be run, with the number of Twilio's that says why."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def not_found(path: str) -> TwilioError:
    """The reply to a SID, or a path, that Twilio does not know."""
    return TwilioError(404, 20404, f"The requested resource {path} was not found")


def not_eligible() -> TwilioError:
    """The reply when nothing is being recorded there: over, not begun, or never."""
    return TwilioError(400, 21220, "Invalid call state: the call is not in progress or has no active recording")


def invalid_parameter(name: str) -> TwilioError:
    """The reply to a parameter that is missing or has a value Twilio does not take."""
    return TwilioError(400, 20001, f"Invalid parameter: {name}")


def unauthenticated() -> TwilioError:
    """The reply to credentials that are missing or wrong."""
    return TwilioError(401, 20003, "Authenticate")
