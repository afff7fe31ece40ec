"""A page on this machine's own address, made anew when what it shows has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from time import monotonic
from typing import Any

from ..errors import ConfigError, NasError

ADDRESS = "127.0.0.1"
"""The only address that is listened on, which other machines cannot reach."""
HOSTS = (ADDRESS, "localhost")
"""Names that a browser may have asked for. Any other is of a foreign page whose name was pointed at this machine."""
PAUSE = 2
"""Least time between two pages as a multiple of what making one takes, so that the page of a large search does not take
much of the processor from it."""
SLOWEST_S = 10
"""Seconds after which a silent connection is closed."""


@dataclass
class Site:
    """A page that changes.

    Attributes:
        make: Function that makes the page.
        state: Function that returns a text that is another when the page would be.
    """

    make: Callable[[], str]
    state: Callable[[], str]
    _lock: Lock = field(default_factory=Lock, repr=False)
    _page: tuple[str, bytes] | None = field(default=None, repr=False)
    _next: float = field(default=0.0, repr=False)

    def page(self) -> bytes:
        """The page as it is now. Raises NasError where it cannot be made."""
        with self._lock:  # Several tabs ask at once, and charts are drawn by one thread at a time.
            state = self.shown_state()
            if self._page is None or self._page[0] != state:
                started = monotonic()
                self._page = state, self.make().encode()
                self._next = monotonic() + PAUSE * (monotonic() - started)
            return self._page[1]

    def shown_state(self) -> str:
        """The state of the page that `page` returns now."""
        return self._page[0] if self._page is not None and monotonic() < self._next else self.state()


def server(site: Site, port: int = 0) -> ThreadingHTTPServer:
    """A server of a page at '/' and of its state at '/state', which listens already; `serve_forever` answers.

    It reads no files by name, answers GET alone, and only to requests for this machine's own names.

    Args:
        site: The page.
        port: The port; 0 for a free one.

    Raises:
        ConfigError: The port cannot be used.
    """
    try:
        made = ThreadingHTTPServer((ADDRESS, port), partial(_Handler, site))
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"--port {port} cannot be used: {why}; give another, or none for a free one") from None
    made.daemon_threads = True
    return made


class _Handler(BaseHTTPRequestHandler):
    timeout = SLOWEST_S
    server_version, sys_version = "adaptnas", ""

    def __init__(self, site: Site, *arguments: Any) -> None:
        self._site = site
        super().__init__(*arguments)

    def do_GET(self) -> None:
        port = self.connection.getsockname()[1]
        if self.headers.get_all("Host") not in [[f"{host}:{port}"] for host in HOSTS]:
            self._answer(HTTPStatus.FORBIDDEN, b"ask for this machine by its own name", "text/plain")
            return
        answers = {"/": (self._site.page, "text/html"), "/state": (self._state, "text/plain")}
        if self.path not in answers:
            self._answer(HTTPStatus.NOT_FOUND, b"there is only the page /", "text/plain")
            return
        content, kind = answers[self.path]
        try:
            self._answer(HTTPStatus.OK, content(), kind)
        except NasError as error:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"nas: {error}".encode(), "text/plain")

    def _state(self) -> bytes:
        return self._site.shown_state().encode()

    def _answer(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(content)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Requests are not written anywhere."""
