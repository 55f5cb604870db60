"""`RecordingGateway` over the Twilio SDK: what its replies and errors mean.

Only a 200 whose `status` is the one asked for confirms (twilio-api, "Update a Recording resource"). 4xx with a Twilio
error is refused: it was not applied. 5xx, an unreadable body or another status is unanswered: it may have been.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any, Literal

from twilio.base.exceptions import TwilioException, TwilioRestException

from bot.call import CURRENT, Of, Wish
from bot.messages import CallSeen, Kind, Listing, Reply, Target
from bot.settings import Settings
from bot.telephony.http_client import Unanswered, Unsent
from bot.telephony.sdk import connect

STATUS_OF = {Wish.PAUSED: "paused", Wish.RECORDING: "in-progress", Wish.STOPPED: "stopped"}
RECORDING_EVENTS = ["in-progress", "completed", "absent"]
LIST_PAGE_SIZE = 200
LIST_PAGES_MAX = 20
API = "https://api.twilio.com"
RECORDING_SID = re.compile(r"RE[0-9a-fA-F]{32}")
CALL_SID = re.compile(r"CA[0-9a-fA-F]{32}")
UNREADABLE = (Unanswered, TwilioException, ValueError, TypeError, KeyError, AttributeError)


class TwilioGateway:
    """One SDK client for the process. Safe for any number of threads."""

    def __init__(self, settings: Settings, connections: int) -> None:
        self._behavior: Literal["skip", "silence"] = settings.pause_behavior
        self.timeout_seconds = settings.twilio_timeout_seconds
        self._callback_url = f"{settings.public_base_url}/twilio/recording-status"
        self._client, self._http = connect(settings, connections)

    def command(self, account: str, target: Target, wish: Wish, deadline: float | None = None) -> Reply:
        status = STATUS_OF[wish]
        behavior = {"pause_behavior": self._behavior} if wish is Wish.PAUSED else {}
        recordings = self._resource(account, target.of, target.owner).recordings
        return self._reply(
            lambda: recordings(target.recording).update(status=status, **behavior),
            target.recording,
            status,
            deadline,
        )

    def _reply(self, post: Callable[[], Any], recording: str, status: str, deadline: float | None) -> Reply:
        """What came of one POST about this recording, which is to have this status afterwards."""
        try:
            with self._http.no_later_than(deadline):
                reply = post()
        except Unsent as error:
            return Reply(kind=Kind.UNSENT, why=str(error))
        except TwilioRestException as error:
            kind = Kind.REFUSED if 400 <= error.status < 500 else Kind.UNANSWERED
            return Reply(kind=kind, http_status=error.status, code=error.code, why=f"Twilio answered {error.status}")
        except UNREADABLE as error:
            return Reply(kind=Kind.UNANSWERED, why=_why(error))
        return _confirmed(reply, recording, status)

    def start_recording(self, account: str, call: str, deadline: float | None = None) -> Reply:
        new = self._client.api.v2010.accounts(account).calls(call).recordings
        return self._reply(
            lambda: new.create(
                recording_status_callback=self._callback_url,
                recording_status_callback_event=RECORDING_EVENTS,
                recording_status_callback_method="POST",
                recording_channels="dual",
            ),
            CURRENT,
            "in-progress",
            deadline,
        )

    def list_recordings(self, account: str, of: Of, owner: str) -> Listing:
        """Through the SDK's client, but read plainly: its list objects cost as much CPU as the command beside it."""
        collection = "Conferences" if of is Of.CONFERENCE else "Calls"
        path = f"/2010-04-01/Accounts/{account}/{collection}/{owner}/Recordings.json?PageSize={LIST_PAGE_SIZE}"
        deadline = time.monotonic() + self.timeout_seconds
        items: list[tuple[str, str]] = []
        try:
            for _ in range(LIST_PAGES_MAX):
                page = self._page(path, deadline)
                items += [(_recording_sid(one["sid"]), str(one["status"])) for one in page["recordings"]]
                path = page["next_page_uri"]
                if not path:
                    return Listing(of=of, owner=owner, ok=True, items=tuple(items))
        except (Unsent, _NotListed, *UNREADABLE) as error:
            missing = error.args[:1] == (404,)
            barred = error.args[:1] in {(401,), (403,)}
            why = _why(error)
            return Listing(
                of=of, owner=owner, ok=False, missing=missing, barred=barred, items=tuple(items), why=why
            )  # fmt: skip
        return Listing(of=of, owner=owner, ok=False, why="the list has too many pages")

    def _page(self, path: str, deadline: float) -> Any:
        if not path.startswith("/2010-04-01/"):
            raise ValueError("the next page is not at Twilio")
        left = deadline - time.monotonic()
        if left <= 0:
            raise Unanswered("no reply in time")
        reply = self._client.request("GET", f"{API}{path}", timeout=left)
        if reply.status_code != 200:
            raise _NotListed(reply.status_code)
        return json.loads(reply.text)

    def fetch_call(self, account: str, sid: str) -> CallSeen:
        try:
            seen = self._client.api.v2010.accounts(account).calls(sid).fetch()
        except TwilioRestException as error:
            return CallSeen(ok=error.status == 404, http_status=error.status)
        except (Unsent, *UNREADABLE):
            return CallSeen(ok=False)
        parent = str(seen.parent_call_sid) if seen.parent_call_sid else None
        if not seen.status or (parent and not CALL_SID.fullmatch(parent)):
            return CallSeen(ok=False)
        return CallSeen(ok=True, status=str(seen.status), parent=parent)

    def _resource(self, account: str, of: Of, owner: str) -> Any:
        context = self._client.api.v2010.accounts(account)
        return context.conferences(owner) if of is Of.CONFERENCE else context.calls(owner)


def _confirmed(reply: Any, recording: str, status: str) -> Reply:
    """A 200 for another status, or for another recording than the one addressed, confirms nothing."""
    sid = str(reply.sid or "")
    is_addressed = RECORDING_SID.fullmatch(sid) and recording in {CURRENT, sid}
    if reply.status == status and is_addressed:
        return Reply(kind=Kind.CONFIRMED, http_status=200, recording=sid)
    return Reply(kind=Kind.UNANSWERED, http_status=200, why="Twilio's reply does not say that it is so")


class _NotListed(Exception):
    """The list was answered with this HTTP status."""


def _recording_sid(value: object) -> str:
    sid = str(value)
    if not RECORDING_SID.fullmatch(sid):
        raise ValueError("not the SID of a recording")
    return sid


def _why(error: Exception) -> str:
    if isinstance(error, _NotListed):
        return f"Twilio answered {error.args[0]} to the list"
    return str(error) if isinstance(error, Unsent | Unanswered) else "Twilio's reply could not be read"
