"""PURE. Every entry as a sentence. The table below is the registry: a new type of entry gets its line there.

A sentence says no more than its entry does, and reads well with fields missing: the log outlives this code, and what is
shown may have been tampered with. `{pieces}` are methods of `_Pieces`; what they return is never read as a template.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bot.audit.entry import MAX_INTEGER
from bot.review.words import ASKED, DONE, FIELDS, FOUND, REASONS, RESULTS, STATES, VERBS

TEXT_CHARACTERS_MAX = 300
LIST_MAX = 10

SENTENCES: dict[str, str] = {
    # Pauses: who wanted what
    "hold.opened": "{who} asked for a pause{why}{until}.",
    "hold.extended": "{who} asked again for the pause{why}; it now lasts{until_plain}.",
    "hold.released": "{who} ended {pause}{why}{on_behalf}; {then}.",
    "hold.cut_short": "{who} had {pause} cut short; no card may be taken now, and soon it ends.",
    "hold.running_out": "The pause of {holder}{why} reached its limit; no card may be taken now, and soon it ends.",
    "hold.expired": "The pause of {holder}{why} reached its time limit and ended; {then}.",
    "hold.overdue": "The pause of {holder}{why} reached its time limit and was kept: somebody has to look at it.",
    "hold.closed": "The pause of {holder} was closed{because}.",
    "pause.refused": "{who} asked for a pause and was refused{because}.",
    "pause.proven": "Every known recording is confirmed paused, Twilio's list shows no other: safe to take the card.",
    "resume.requested": "{who} asked for the recording to go on.",
    "resume.refused": "{who} asked for the recording to go on and was refused{because}.",
    "stop.requested": "{who} asked for the recording to be stopped for good.",
    "stop.refused": "{who} asked for the recording to be stopped for good and was refused{because}.",
    # Payments by keypad
    "payment.begun": "{who} began a payment{amount} by keypad{via}.",
    "payment.refused": "{who} asked for a step of a payment and was refused{because}.",
    "payment.session_opened": "Twilio opened {session} for the payment.",
    "payment.field_asked": "{who} asked the caller for {asked_field}.",
    "payment.field_entered": "The caller keyed in {asked_field}.",
    "payment.field_wrong": "What the caller keyed in as {asked_field} was not accepted{because}.",
    "payment.step_refused": "Twilio did not take up a step of the payment{because}.",
    "payment.completing": "{who} had the payment completed.",
    "payment.finished": "The payment ended: {paid}.",
    "payment.delivered": "The payment's result reached the system that wants it.",
    "payment.not_delivered": "The payment's result could not be delivered, and counts as failed{because}.",
    "payment.session_closed": "{closed}.",
    # Commands: what we told Twilio, and what came of it
    "command.sent": "The bot told Twilio to {verb} {target}.",
    "command.confirmed": "Twilio confirmed that {target} is {done}.{safe}",
    "command.refused": "Twilio refused to {verb} {target}{http}{because}.",
    "command.unanswered": "The command to {verb} {target} got no usable answer{http}{because}; {perhaps}.",
    "command.abandoned": "The command to {verb} {target} was left behind{because}; {perhaps}.",
    "list.failed": "Twilio's list of recordings could not be had whole{because}.",
    # Recordings
    "recording.started": "Twilio reported that {recording} began.",
    "recording.found": "Twilio's list showed {recording}, which was not known before{of}.",
    "recording.left_to_others": "{recording} was left paused, because another call in the conference needs it so.",
    "recording.paused_with": "{recording} of the conference was confirmed paused for {other}, and so for this one.",
    "recording.doubted": "{recording} counts as paused no longer: it was resumed for {other}.",
    "recording.noted": "Twilio reported {recording} as {after}; only replies to the bot's own commands count.",
    "recording.ended": "{ended_by} that {recording} is {over}{duration}.",
    "recording.left_paused": "{recording} was still paused when the call or its conference ended.",
    "recording.gap": "The call was not recorded{between}: its recording had been stopped instead of paused.",
    # What compliance has to look at
    "finding.raised": "To look at: {found}.",
    "finding.cleared": "Over: {found}.",
    # Calls
    "call.reported": "Twilio reported the call as {after}{from_before}.",
    "call.ended": "{call_ended}.",
    "call.joined": "{who} named {named} as part of this call.",
    "call.name_dropped": "Twilio does not know a leg or conference that a caller of the API had named; it was dropped.",
    "call.claimed": "{who} took the call{from_agent}.",
    "call.claim_refused": "{who} tried to take the call and was refused{because}.",
    "call.owner_changed": "The call now belongs to {after}{from_agent}, who is on its live leg.",
    "call.merged": "{leg} turned out to be a leg of this call; what was wanted there is wanted here now.",
    "call.view_refused": "{who} tried to open the call and was refused{because}.",
    "leg.reported": "Twilio reported the leg {leg} as {after}{from_before}.",
    "conference.reported": "{conference}.",
    # People and programs
    "sign_in.succeeded": "{who} signed in.",
    "sign_in.failed": "Signing in{as_who} failed{because}.",
    "sign_out": "{who} signed out.",
    "page.refused": "{who} was refused a page{because}.",
    "api.refused": "A request to the API{as_who} was refused{because}.",
    "user.created": "{who} created the user {user}{role}.",
    "user.disabled": "{who} disabled the user {user}.",
    "user.password_set": "{who} set a new password for {user}.",
    "user.password_changed": "{who} chose a new password.",
    "api_key.created": "{who} created the API key {key}{scopes}.",
    "api_key.revoked": "{who} revoked the API key {key}.",
    # The log itself
    "entry.unreadable": "This entry cannot be read any more: its bytes were changed. Verify the log.",
    "key.created": "{who} made the key that signs the log.",
    "key.rotation_begun": "{who} made the next key ({coming}), which signs the log beside the current one ({going}).",
    "key.rotation_finished": "{who} made the next key ({coming}) the current one; {going} signs no more.",
    "log.heartbeat": "Nothing had been written for an hour; the log is alive.",
    "privacy.erased": "{who} erased what was kept of callers' numbers{calls}.",
    "privacy.shown": "{who} looked up how much is kept of a caller's number{calls}.",
    "log.read": "{who} read the log{asked}.",
    "log.exported": "{who} exported the log{asked}{size}.",
    "log.write_failed": "The log could not be written{between}{because}{turned_away}.",
    "process.started": "{process} started{version}.",
    "process.stopped": "{process} ended {how}.",
    "process.lost": "{process} died without a word{last_seen}.",
    "process.returned": "{process} had been given up as dead and is at work again.",
    "clock.jumped": "The clock of the database jumped{jump}: the times around this entry may be wrong.",
    "settings.changed": "The settings of the {kind} process are not those of its last start{settings}.",
    "sink.skipped": "The second copy of the log lacks the entries{numbers}: they were gone before they could be sent.",
    "log.archived": "{who} archived the log{up_to}, and read the archive back.",
    "log.pruned": "{who} removed from the database what lives in an archive now: the log{up_to}.",
    "log.verified": "{who} verified the log{size}: {verdict}{because}.",
}


def sentence(fields: Mapping[str, Any]) -> str:
    """The entry in plain English. Total: unknown types and damaged fields get an honest sentence too."""
    pattern = SENTENCES.get(_text(fields.get("type")))
    if pattern is None:
        said = _text(fields.get("type")) or "none"
        return f"There are no words here for this type of entry ({said}): see its fields."
    words = pattern.format_map(_Pieces(fields))
    return words[:1].upper() + words[1:]


def _text(value: object) -> str:
    """Text or a number as it is, on one line and not endless; nothing for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return " ".join(str(value).split())[:TEXT_CHARACTERS_MAX]


def _instant(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(_text(value))
        return at.astimezone(UTC) if at.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _party(holder: str) -> str:
    """`agent:alice`, `api:crm`, `ivr`, `payment:PK…` in words."""
    kind, _, name = holder.partition(":")
    words = {"agent": name, "api": f"the API key {name}", "payment": f"the payment {name}", "ivr": "the IVR"}
    return words.get(kind, holder).strip() or "somebody unnamed"


class _Pieces:
    """The parts of sentences. Each is complete with its own space or comma, and empty where nothing is known."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields
        detail = fields.get("detail")
        self._detail: Mapping[str, Any] = detail if isinstance(detail, Mapping) else {}

    def __getitem__(self, piece: str) -> str:
        text: str = getattr(self, piece)()
        return text

    def _field(self, name: str) -> str:
        return _text(self._fields.get(name))

    def _more(self, name: str) -> str:
        return _text(self._detail.get(name))

    def _list(self, name: str) -> list[str]:
        found = self._detail.get(name)
        return [_text(item) for item in found[:LIST_MAX]] if isinstance(found, list) else []

    # Who

    def who(self) -> str:
        actor, source = self._field("actor"), self._field("source")
        if source == "api" and actor:
            return f"the API key {actor}"
        if source == "system" and actor in {"", "system"}:
            return "the bot"
        if source == "twilio":
            return "Twilio"
        if source == "ivr" and actor in {"", "ivr"}:
            return "the IVR"
        return actor or {"payment": "the payment step"}.get(source, "somebody unnamed")

    def as_who(self) -> str:
        actor = self._field("actor")
        return f" as {actor}" if actor else ""

    def holder(self) -> str:
        return _party(self._more("holder"))

    def pause(self) -> str:
        is_own = self._more("holder") == f"{self._field('source')}:{self._field('actor')}"
        return "their own pause" if is_own else f"the pause of {self.holder()}"

    def from_agent(self) -> str:
        before = self._field("before")
        return f" (before: {before})" if before else ""

    def user(self) -> str:
        return self._more("user") or "of unknown name"

    def role(self) -> str:
        role = self._more("role")
        return f" with the role {role}" if role else ""

    def key(self) -> str:
        return self._more("key") or "of unknown name"

    def scopes(self) -> str:
        scopes = self._list("scopes")
        return f" for {', '.join(scopes)}" if scopes else ""

    def on_behalf(self) -> str:
        holder = self._more("on_behalf_of")
        return f", on behalf of {_party(holder)}" if holder else ""

    def found(self) -> str:
        kind = self._field("reason")
        words = FOUND.get(kind)
        return words.format_map(self) if words else kind or "something unnamed"

    def what(self) -> str:
        """What exactly is wrong, or nothing once it is over."""
        why = self._more("why")
        return f" ({why})" if why else ""

    def anchor(self) -> str:
        return self._more("anchor") or "one of its anchors"

    def between(self) -> str:
        start, end = _instant(self._detail.get("from")), _instant(self._detail.get("to"))
        return f" from {start:%H:%M:%S} to {end:%H:%M:%S}" if start and end else ""

    # Why and until when

    def why(self) -> str:
        reason = self._field("reason")
        return f" ({reason})" if reason else ""

    def because(self) -> str:
        reason = self._field("reason")
        return f": {REASONS.get(reason, reason)}" if reason else ""

    def until(self) -> str:
        plain = self.until_plain()
        return f",{plain}" if plain else ""

    def until_plain(self) -> str:
        """In UTC; with its date where that is not the entry's own."""
        end, at = _instant(self._detail.get("expires_at")), _instant(self._fields.get("at"))
        if end is None:
            return ""
        is_same_day = at is not None and at.date() == end.date()
        return (
            f" until {end:%H:%M:%S} at the latest" if is_same_day else f" until {end:%Y-%m-%d %H:%M:%S} at the latest"
        )

    def then(self) -> str:
        after = self._field("after")
        words = {"paused": "others still keep the call paused", "recording": "the recording is to go on"}
        return words.get(
            after, "the recording stays stopped for good" if after == "stopped" else "what follows was not noted"
        )

    # Commands

    def verb(self) -> str:
        return VERBS.get(self._more("wish"), "change")

    def done(self) -> str:
        return DONE.get(self._more("wish"), "changed")

    def target(self) -> str:
        """A recording's SID; `Twilio.CURRENT` is whatever is recording on the call."""
        sid = self._field("recording") or self._more("target")
        words = {"": "the call's current recording", "new": "a new recording"}
        return words.get(sid.removeprefix("Twilio.CURRENT"), f"recording {sid}")

    def safe(self) -> str:
        if self._more("wish") != "paused":
            return ""
        is_safe = self._detail.get("safe") is True
        return " It was now safe to take the card." if is_safe else " This alone did not make it safe to take the card."

    def perhaps(self) -> str:
        return "it may or may not have taken effect"

    def http(self) -> str:
        parts = [f"{name} {self._more(key)}" for name, key in (("HTTP", "http"), ("error", "code")) if self._more(key)]
        return f" ({', '.join(parts)})" if parts else ""

    # Recordings and calls

    def recording(self) -> str:
        sid = self._field("recording")
        return f"recording {sid}" if sid else "a recording"

    def of(self) -> str:
        of = self._more("of")
        return f" (of the {of})" if of else ""

    def ended_by(self) -> str:
        return "Twilio's list showed" if self._more("seen") == "list" else "Twilio reported"

    def over(self) -> str:
        after = self._field("after")
        return STATES.get(after, after or "over")

    def duration(self) -> str:
        seconds = self._more("duration_seconds")
        return f", {seconds} s long" if seconds else ""

    def after(self) -> str:
        return self._field("after") or "unknown"

    def from_before(self) -> str:
        before = self._field("before")
        return f" (before: {before})" if before and before != "unknown" else ""

    def call_ended(self) -> str:
        after = self._field("after")
        if after == "unknown-to-twilio":
            return "Twilio does not know this call"
        return f"the call ended ({after})" if after else "the call ended"

    def other(self) -> str:
        sid = self._more("other")
        return f"the call {sid}" if sid else "another call"

    def leg(self) -> str:
        return self._more("leg") or "another call"

    # Payments

    def via(self) -> str:
        words = {"agent": ", led by the agent", "ivr": " in the phone flow"}
        return words.get(self._more("via"), "")

    def amount(self) -> str:
        amount = self._more("amount")
        return f" of {amount}" if amount else ""

    def session(self) -> str:
        session = self._more("session")
        return f"the session {session}" if session else "a session"

    def asked_field(self) -> str:
        field = self._more("field")
        return FIELDS.get(field, field or "a field")

    def paid(self) -> str:
        reason = self._field("reason")
        words = RESULTS.get(reason, reason or "how was not noted")
        return f"{words}; whether the card was charged is not known" if self._field("outcome") == "unknown" else words

    def closed(self) -> str:
        if self._field("outcome") == "success":
            return f"Twilio closed {self.session()}"
        return f"Twilio did not confirm that {self.session()} is closed"

    def named(self) -> str:
        conference = self._more("conference")
        names = [*self._list("legs"), *([f"conference {conference}"] if conference else [])]
        return " and ".join(names) or "something unnamed"

    def conference(self) -> str:
        what = f"conference {self._more('conference')}".strip()
        who, event = self._more("participant") or "a participant", self._more("event") or self._field("after")
        words = {
            "participant-join": f"{who} joined {what}",
            "participant-leave": f"{who} left {what}",
            "conference-end": f"{what} ended",
        }
        return words.get(event, f"Twilio reported of {what}: {event or 'nothing'}")

    # The log itself

    def asked(self) -> str:
        """What was looked for: the filter, or the call."""
        wanted = self._detail.get("filter")
        asked = wanted if isinstance(wanted, Mapping) else {}
        parts = [f"{key} {_text(asked.get(key))}" for key in ASKED if _text(asked.get(key))]
        call = self._field("call")
        if not parts and call:
            parts = [f"call {call}"]
        return f" ({', '.join(parts)})" if parts else ""

    def coming(self) -> str:
        return self._more("next_key") or "of unknown name"

    def going(self) -> str:
        return self._more("key") or "of unknown name"

    def size(self) -> str:
        size = self._more("size")
        return f" of {size} entries" if size else ""

    def kind(self) -> str:
        return self._more("kind") or "bot's"

    def process(self) -> str:
        name = self._more("process") or self._field("node")
        return f"the {self.kind()} process{f' {name}' if name else ''}"

    def version(self) -> str:
        version = self._more("version")
        return f" (version {version})" if version else ""

    def how(self) -> str:
        return f"because of an error ({self._field('reason')})" if self._field("reason") else "in good order"

    def last_seen(self) -> str:
        at = _instant(self._detail.get("last_seen"))
        return f"; it was last seen at {at:%Y-%m-%d %H:%M:%S}" if at else ""

    def turned_away(self) -> str:
        count = self._more("turned_away")
        return f"; changes turned away: {count}" if count else ""

    def jump(self) -> str:
        size = self._detail.get("milliseconds")
        if isinstance(size, bool) or not isinstance(size, int) or abs(size) > MAX_INTEGER:
            return ""
        return f" by {abs(size) / 1000:.1f} s {'forward' if size > 0 else 'back'}"

    def settings(self) -> str:
        """The names; of those that may be shown, how they changed."""
        before, after = (self._detail.get(name) for name in ("before", "after"))
        parts = []
        for name in self._list("changed"):
            values = [_text(side.get(name)) if isinstance(side, Mapping) else "" for side in (before, after)]
            parts.append(f"{name} ({values[0]} → {values[1]})" if all(values) else name)
        if unknown := self._list("unknown"):
            parts.append(f"and perhaps {', '.join(unknown)}, which cannot be compared")
        return f": {', '.join(parts)}" if parts else ""

    def numbers(self) -> str:
        first, last = self._more("first"), self._more("last")
        return f" {first} to {last}" if first and last else ""

    def up_to(self) -> str:
        first, end = self._more("from"), self._more("size")
        return f" from entry {first} up to {end}" if first and end else ""

    def calls(self) -> str:
        count = self._more("calls")
        return f" ({count} call{'' if count == '1' else 's'})" if count else ""

    def verdict(self) -> str:
        if self._field("outcome") != "success":
            return "it does NOT verify"
        return "it is consistent" if self._more("checkpoints") == "0" else "it verifies"
