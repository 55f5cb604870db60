"""Requests that never become one: what the server in front of the application is to make of them. Each has a card."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote

HEAD = "POST /twilio/keys HTTP/1.1\r\nHost: 127.0.0.1\r\n"
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


def malformed(card: Callable[[], str]) -> Iterator[bytes]:
    for text in (*_lines(card), *_heads(card), *_bodies(card)):
        yield text.encode()


def _lines(card: Callable[[], str]) -> Iterator[str]:
    """The request line."""
    yield f"{card()}\r\n\r\n"
    yield f"{quote(card())} / HTTP/1.1\r\n\r\n"
    yield f"GET /{quote(card())} HTTP/9.9\r\n\r\n"
    yield f"GET /{quote(card())} {card()}\r\n\r\n"
    yield f"GET /?{card()} with spaces HTTP/1.1\r\n\r\n"
    yield f"GET http://[{card()} HTTP/1.1\r\n\r\n"
    yield f"GET http://{quote(card())}/calls?{quote(card())} HTTP/1.1\r\nHost: {quote(card())}\r\n\r\n"
    yield f"GET //{quote(card())}/calls HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    yield f"POST /twilio/keys?Digits={quote(card())}{'x' * 9_000} HTTP/1.1\r\n\r\n"
    yield f"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{card()}"
    yield f"PROXY TCP4 {card()} 127.0.0.1 1 2\r\n\r\n"
    yield f"\x16\x03\x01{card()}\r\n\r\n"
    yield f"GET /{quote(card())}"


def _heads(card: Callable[[], str]) -> Iterator[str]:
    """The header fields."""
    yield f"{HEAD}{card()}\r\n\r\n"
    yield f"{HEAD}{card()}: card\r\n\r\n"
    yield f"{HEAD}Digits : {card()}\r\n\r\n"
    yield f"{HEAD}Digits: a\r\n {card()}\r\n\r\n"
    yield f"{HEAD}Digits: \x00{card()}\r\n\r\n"
    yield f"{HEAD}Host: {card()}\r\n\r\n"
    yield f"{HEAD}Content-Length: {card()}\r\n\r\n"
    yield f"{HEAD}Content-Length: 1\r\nContent-Length: {card()}\r\n\r\nx"
    yield f"{HEAD}Transfer-Encoding: {card()}\r\n\r\n"
    yield f"{HEAD}Expect: {card()}\r\n\r\n"
    yield f"{HEAD}Upgrade: {card()}\r\nConnection: {card()}\r\n\r\n"
    yield f"{HEAD}X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: {card()}\r\n\r\n"
    yield HEAD + "".join(f"X-{number}: {card()}\r\n" for number in range(120)) + "\r\n"
    yield f"{HEAD}X-Long: {card() * 6_000}\r\n\r\n"
    yield f"{HEAD}X-Cut: {card()}"


def _bodies(card: Callable[[], str]) -> Iterator[str]:
    """The body: too short, or in pieces that are none."""
    yield f"{HEAD}{FORM}Content-Length: 1000\r\n\r\nDigits={card()}"
    chunked = f"{HEAD}{FORM}Transfer-Encoding: chunked\r\n\r\n"
    yield f"{chunked}{card()}\r\nDigits"
    yield f"{chunked}7;{card()}\r\nDigits="
    yield f"{chunked}7\x00{card()}\r\nDigits=\r\n0\r\n\r\n"
    yield f"{chunked}1\r\nDigits={card()}\r\n0\r\n\r\n"
    yield f"{chunked}FF\r\nDigits={card()}"
    yield f"{chunked}7\r\nDigits=\r\n0\r\n{card()}\r\n\r\n"
    yield f"{chunked}7\r\nDigits=\r\n0\r\nX-Digits: {card()}\r\n\r\n"
