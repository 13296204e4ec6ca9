"""A real Chromium, and pages in it that note what they should not do."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from playwright.async_api import async_playwright

from tests.servers.process import find_program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_DEADLINE_MS = 20_000.0
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 360, "height": 740}


class Chromium:
    """The program, as Debian has it."""

    @classmethod
    def find(cls) -> Path:
        """Find it; or raise ServerMissing."""
        return find_program("chromium")


@contextlib.asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """Launch a browser: it asks nobody for anything but for the pages that it is sent to."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=Chromium.find(), args=_FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Visitor:
    """Somebody who looks at the console of a port. `wrong` is what a page must not do."""

    browser: Browser
    port: int
    page: Page = field(init=False)
    wrong: list[str] = field(default_factory=list)

    async def arrive(self, **options: Any) -> None:  # noqa: ANN401 - the browser's own
        """Open a window of its own, with no cookies."""
        context = await self.browser.new_context(**{"viewport": WIDE, **options})
        context.set_default_timeout(_DEADLINE_MS)
        self.page = await context.new_page()
        self.page.on("console", lambda message: self._said(message.type, message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        self.page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))
        self.page.on("request", lambda request: self._asked(request.url))

    def _said(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.wrong.append(f"{kind}: {text}")

    def _asked(self, url: str) -> None:
        if urlsplit(url).netloc != f"127.0.0.1:{self.port}":
            self.wrong.append(f"another host: {url}")

    async def go(self, path: str = "/") -> int:
        """Go to a page; give its status."""
        response = await self.page.goto(f"http://127.0.0.1:{self.port}{path}")
        assert response is not None
        return response.status

    async def click(self, selector: str) -> None:
        """Click on what leads to another page, and wait for that."""
        async with self.page.expect_navigation():
            await self.page.locator(selector).first.click()

    async def text(self, selector: str) -> str:
        """Read what stands somewhere."""
        return " ".join((await self.page.locator(selector).first.inner_text()).split())

    async def texts(self, selector: str) -> list[str]:
        """Read what stands in several places."""
        return [" ".join(text.split()) for text in await self.page.locator(selector).all_inner_texts()]

    async def until(self, expression: str, argument: object = None) -> None:
        """Wait until an expression of the page is true."""
        await self.page.wait_for_function(expression, arg=argument)

    async def look(self) -> None:
        """Have the script look now, as when one comes back to a page."""
        await self.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    async def looked_again(self) -> None:
        """Have the script look now, and wait until it has taken over what is new."""
        before = await self.page.evaluate("Number(document.querySelector('main').dataset.looks || 0)")
        await self.look()
        await self.until("before => Number(document.querySelector('main').dataset.looks) > before", before)

    async def fits(self) -> bool:
        """Tell whether the page is no wider than the window."""
        return bool(await self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"))

    async def leave(self) -> None:
        """Close the window; nothing went wrong in it."""
        await self.page.context.close()
        assert self.wrong == []
