"""What an agent does and sees in a real browser, and everything the page has said since it was opened."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import BrowserContext, Locator, Page, StorageState, expect

from tests.conftest import Person
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
    """A browser with one person's session, any number of tabs, and what the console complained about in them."""

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
        expect(self.status).to_have_text(re.compile(f"^{re.escape(beginning)}"), timeout=within_ms)

    def has_said(self) -> list[str]:
        """Every status text since the page was loaded, however short it stood there."""
        said: list[str] = self.page.evaluate("() => window.said")
        return said


class Desk:
    """Opens windows for the people of one stack. Everybody signs in by the form once; the session is then reused, as
    the number of sign-ins from one address is limited.
    """

    def __init__(self, new_context: Callable[..., BrowserContext], stack: Stack, kept: dict[str, StorageState]) -> None:
        self._new_context = new_context
        self._stack = stack
        self._kept = kept
        self.windows: list[Window] = []

    def window(self, person: Person | None, **options: Any) -> Window:
        """A window of this person's, or of nobody's; `options` are Playwright's for a context."""
        key = f"{self._stack.url} {person.name}" if person else ""
        if person and key in self._kept:
            options["storage_state"] = self._kept[key]
        window = Window(self._new_context(base_url=self._stack.url, **options))
        if person and key not in self._kept:
            sign_in(window.open("/login"), person)
            self._kept[key] = window.context.storage_state()
            window.context.pages[0].close()
        self.windows.append(window)
        return window


def sign_in(page: Page, person: Person) -> None:
    page.get_by_label("Name").fill(person.name)
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
