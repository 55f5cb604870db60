"""How the simulator begins and ends."""

from __future__ import annotations

import signal
import socket
import subprocess

import pytest

from tests.simulator.process import ACCOUNT, CREDENTIALS, launch, ready_url


def _end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=10)
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_cleanly(number: signal.Signals) -> None:
    process = launch("--port", "0")
    url = ready_url(process)
    with socket.create_connection((url.split(":")[1].strip("/"), int(url.split(":")[2]))):
        process.send_signal(number)
        assert _end(process) == (0, "", "")


def test_taken_port_is_one_clear_line_and_exit_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = _end(launch("--port", str(port)))
    assert (code, out) == (2, "")
    assert err == f"simulator: cannot start on 127.0.0.1 port {port}: Address already in use\n"


@pytest.mark.parametrize(
    ("env", "arguments", "complaint"),
    [
        ({}, (), "TWILIO_ACCOUNT_SID must be set: AC and 32 hexadecimal digits"),
        ({"TWILIO_ACCOUNT_SID": "AC12", "TWILIO_AUTH_TOKEN": "x"}, (), "TWILIO_ACCOUNT_SID must be set: AC and 32"),
        ({"TWILIO_ACCOUNT_SID": ACCOUNT}, (), "TWILIO_AUTH_TOKEN must be set"),
        (CREDENTIALS, ("--webhook-base", "ftp://x"), "--webhook-base must be an http or https URL"),
        (CREDENTIALS, ("--port", "70000"), "port"),
    ],
)
def test_bad_start_is_one_line_and_exit_code_2(env: dict[str, str], arguments: tuple[str, ...], complaint: str) -> None:
    code, out, err = _end(launch("--port", "0", *arguments, env=env))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert complaint in err


def test_help_names_the_options() -> None:
    code, out, _err = _end(launch("--help"))
    assert code == 0
    for option in ("--host", "--port", "--webhook-base", "TWILIO_ACCOUNT_SID"):
        assert option in out
