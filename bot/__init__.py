"""The PCI pause bot: pauses a call's recording while a card is given, and proves it.

The map, from the inside out; imports point this way only::

    errors, settings, scrub, logs   what everything may use
    actors       PURE  who does something to a call; payment: a card payment by keypad, the noun and its messages
    call         PURE  the nouns: Call, Hold, Recording, and what follows from them (desired, observed, safe)
    messages     PURE  what can happen to a call, what is to be done about it, what is logged of it
    holds        PURE  who opens, prolongs and ends a hold, and what the clock does to it
    capture      PURE  a payment from its opening to the last field; settling: how it ends
    outcomes     PURE  what came of a command; looks: what a list or the call itself showed; endings: what ends;
                 backoff: when to try again
    reports      PURE  what Twilio reports on its own
    recording    PURE  decide(call, message, now) -> Decision(call, facts, effect)
    audit/       the log: entry bytes, Merkle tree, journal (the one write transaction), checkpoints, verify
    storage/     engine, tables, one module per noun
    telephony/   Twilio: gateway, signature, webhook -> message, keys -> a choice, TwiML
    control      CallControl: pause, resume, stop, receive, converge; the only place that commands Twilio
    intake, peers, results, outage   its parts: callbacks taken in, calls that share a conference, when somebody who
                 waits is told what, and whether Twilio as a whole is away
    keypad       Payments: what agents, the phone flow and Twilio do with one; delivery: its result, posted onwards
    review/      what compliance asks of the log, and evidence of one call
    sinks/       the second copy of the log: file, syslog or http, and who sends it
    life/        the log of the log: processes that begin, end and die, their settings, clocks that jump
    worker       what falls due: holds that run out, open outcomes, dead claims; the signer
    web/         blueprints, and error -> HTTP in one place
    app, cli, demo, gunicorn_conf   wiring, commands, the demo, the web server's settings
    audit_export_cli, audit_signer_cli, cli_keeping, cli_privacy, cli_common   the commands that hand the log out, those
                 around its signer, those about what is kept and who may change it, and what all commands share
    gunicorn_worker   the web server's workers, which log and show nothing of a broken request
    simulator/   a stand-in for Twilio over real HTTP; imports nothing of the rest

``create_app`` is imported on first use, so that the pure modules stay light.
"""

from __future__ import annotations

from typing import Any

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    if name == "create_app":
        from bot.app import create_app  # noqa: PLC0415 - on first use: the pure modules stay light

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
