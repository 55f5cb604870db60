"""``python -m bot.simulator``: plays Twilio until it is told to end."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import threading

from bot.simulator.app import create_app
from bot.simulator.server import listen, make_server
from bot.simulator.settings import Settings, is_http_url
from bot.simulator.world import Credentials, World

_ENDING = frozenset({signal.SIGTERM, signal.SIGINT})


def main() -> int:
    """Exit code 0 after SIGTERM or SIGINT, 2 if it cannot begin.

    The signals are waited for and never interrupt: an exception in the middle of a thread's start may be lost.
    """
    options = _options()
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        credentials = _credentials()
        if not is_http_url(options.webhook_base):
            raise ValueError("--webhook-base must be an http or https URL")
        listening = listen(options.host, options.port)
    except (OSError, OverflowError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        where = f" on {options.host} port {options.port}" if isinstance(error, OSError) else ""
        print(f"simulator: cannot start{where}: {reason}", file=sys.stderr)
        return 2
    port = listening.getsockname()[1]
    world = World(credentials, Settings(webhook_base=options.webhook_base.rstrip("/")))
    server = make_server(listening, create_app(world, options.host))
    world.sender.start()
    host = f"[{options.host}]" if ":" in options.host else options.host
    threading.Thread(target=server.serve_forever, name="server", daemon=True).start()
    print(f"simulator listening on http://{host}:{port}", flush=True)
    signal.sigwait(_ENDING)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bot.simulator",
        description="A stand-in for Twilio over real HTTP. TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN must be set, "
        "TWILIO_API_KEY_SID and TWILIO_API_KEY_SECRET may be. This is a simulator, not Twilio.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument(
        "--port", type=int, default=5010, help="port to listen on, 0 for a free one (default %(default)s)"
    )
    parser.add_argument(
        "--webhook-base",
        default="http://127.0.0.1:5000",
        metavar="URL",
        help="public base URL that signed callbacks go to (default %(default)s)",
    )
    return parser.parse_args()


def _credentials() -> Credentials:
    account, token = os.environ.get("TWILIO_ACCOUNT_SID", ""), os.environ.get("TWILIO_AUTH_TOKEN", "")
    if not re.fullmatch("AC[0-9a-fA-F]{32}", account):
        raise ValueError("TWILIO_ACCOUNT_SID must be set: AC and 32 hexadecimal digits")
    if not token:
        raise ValueError("TWILIO_AUTH_TOKEN must be set")
    key_sid, key_secret = os.environ.get("TWILIO_API_KEY_SID", ""), os.environ.get("TWILIO_API_KEY_SECRET", "")
    return Credentials(account, token, key_sid, key_secret)


if __name__ == "__main__":
    sys.exit(main())
