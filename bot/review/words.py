"""PURE. The words for what entries name by a code: reasons, findings, states, results of payments."""

from __future__ import annotations

REASONS = {
    "starting": "it was not confirmed yet",
    "nothing-recording": "Twilio found nothing to pause",
    "call-over": "the call was over",
    "unknown-call": "Twilio does not know the call",
    "superseded": "the opposite was asked for in the meantime",
    "not-yours": "the call belongs to another agent, or to nobody yet",
    "held-by-others": "somebody else keeps the call paused",
    "owned": "the call belongs to another agent",
    "stopped": "the recording was stopped for good",
    "conference-stop": "Twilio cannot stop a conference's recording",
    "payment-open": "another payment was open",
    "payment-over": "no payment was open",
    "payment-incomplete": "not every field was entered",
    "not proven": "the pause was not proven in time",
    "too late": "the pause was proven too late for whoever asked",
    "timeout": "nothing was keyed in in time",
    "invalid-card-number": "it is not a valid card number",
    "invalid-card-type": "this kind of card is not accepted",
    "invalid-date": "it is not a valid expiry date",
    "invalid-security-code": "it is not a valid security code",
    "invalid-postal-code": "it is not a valid postal code",
    "invalid-card-number-security-code-capture-sequence": "the card number comes first",
    "role agent": "their role is agent",
    "role reviewer": "their role is reviewer",
    "role supervisor": "their role is supervisor",
    "role admin": "their role is admin",
}
FOUND = {
    "pause-never-proven": "the pause of {holder} was never proven; a card may have been recorded",
    "payment-still-open": "the payment of {holder} was still open at the hard limit; the pause stays",
    "long-hold": "the pause of {holder} was prolonged beyond the hard limit",
    "drift": "Twilio says that {recording} runs, which it had confirmed paused; it is paused again",
    "recording-not-restarted": "no new recording could be started after the pause; the call is not recorded",
    "twilio-credentials": "Twilio refuses the bot's credentials",
    "twilio-outage": "Twilio does not answer",
    "payment-result-lost": "a card was taken and the payment's result could not be delivered",
    "log-does-not-extend": "the log is not what was signed before; it was altered behind the bot's back{what}",
    "log-not-signed": "the log cannot be signed{what}",
    "log-not-anchored": "the log's checkpoints do not reach {anchor}{what}",
    "sink-away": "the second copy of the log cannot be written; entries wait for it",
    "sink-ahead": "the log is shorter than what its second copy has received: entries were removed",
}
VERBS = {"paused": "pause", "recording": "resume", "stopped": "stop for good"}
DONE = {"paused": "paused", "recording": "recording again", "stopped": "stopped for good"}
STATES = {"ended": "over", "absent": "absent: nothing was recorded", "failed": "failed", "stopped": "stopped for good"}
ASKED = ("call", "number", "actor", "source", "outcome", "type", "from", "to")
FIELDS = {
    "payment-card-number": "the card number",
    "expiration-date": "the expiry date",
    "security-code": "the security code",
    "postal-code": "the postal code",
}
RESULTS = {
    "success": "Twilio took the card",
    "too-many-failed-attempts": "the caller's attempts were used up",
    "payment-connector-error": "the payment provider refused it or failed",
    "caller-interrupted-with-star": "the caller pressed the star key",
    "caller-hung-up": "the caller hung up",
    "validation-error": "Twilio found it badly configured",
    "internal-error": "Twilio failed",
    "other": "Twilio gave a result that is not known here",
    "cancelled": "it was cancelled",
    "not-proven": "the pause was not proven in time, so no card was asked for",
    "no-result": "the phone flow went on without a result",
    "call-over": "the call ended",
    "hold-ended": "its pause ended",
    "time-limit": "its pause reached the time limit",
}
