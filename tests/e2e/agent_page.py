"""What an agent does and sees in a real browser, and everything the page has said since it was opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.conftest import ALICE, Person
from tests.e2e.stack import Stack

SAFE = "Paused: safe to take the card"
RECORDING = "Recording"
NOT_PAUSED = "NOT PAUSED"
REPLY_MS = 12_000.0
"""As long as the bot's patience and a busy machine may take."""
CONVERGED_MS = 25_000.0
"""After a fault: the longest back-off between two tries is 15 s."""
_NOTE_WHAT_IS_SAID = """
window.said = [];
new MutationObserver(() => {
  const status = document.querySelector('[role=status]');
  const text = status ? status.textContent.trim() : '';
  if (text && window.said.at(-1) !== text) window.said.push(text);
}).observe(document, {subtree: true, childList: true, characterData: true, attributes: true});
"""


@dataclass
class Window:
    """One signed-in browser window (or, as `anew`, another one of the same person), with what went wrong in it."""

    context: BrowserContext
    problems: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        page = self.context.new_page()
        page.add_init_script(_NOTE_WHAT_IS_SAID)
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.goto(path)
        return page

    def call(self, sid: str) -> CallPage:
        return CallPage(self.open(f"/calls/{sid}"))

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.problems.append(text)


@dataclass(frozen=True)
class CallPage:
    """A call's page."""

    page: Page

    @property
    def status(self) -> Locator:
        return self.page.get_by_role("status")

    @property
    def text(self) -> str:
        """All that the call's fragment says."""
        return self.page.locator("#call").inner_text()

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def says(self, beginning: str, within_ms: float = REPLY_MS) -> None:
        """Waits until the one status begins so."""
        expect(self.status).to_have_count(1)
        expect(self.status).to_have_text(starting(beginning), timeout=within_ms)

    def has_said(self) -> list[str]:
        """Every status text since the page was loaded, however short it stood there."""
        said: list[str] = self.page.evaluate("() => window.said")
        return said
