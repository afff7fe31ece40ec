"""Server of a page: it answers only this machine's own requests for the page, and makes the page when it changed."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator

import pytest

from nas.errors import ConfigError, StoreError
from nas.report import serving
from nas.report.serving import Site, server


class Source:
    """Source of a page, which counts how often it was made."""

    state, fault, made = "1", False, 0

    def make(self) -> str:
        self.made += 1
        if self.fault:
            raise StoreError("it is damaged")
        return f"page {self.state} é"


@pytest.fixture(name="source")
def source_of_a_page() -> Source:
    return Source()


@pytest.fixture(name="port")
def served(source: Source) -> Iterator[int]:
    with server(Site(source.make, lambda: source.state)) as opened:
        thread = threading.Thread(target=opened.serve_forever)
        thread.start()
        yield opened.server_port
        opened.shutdown()
        thread.join()


def ask(port: int, path: str, *, method: str = "GET", host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    for name in [f"127.0.0.1:{port}"] if host is None else host.split("|"):
        connection.putheader("Host", name)
    connection.endheaders()
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_the_page_is_made_anew_only_when_it_would_be_another(source: Source, port: int) -> None:
    assert [ask(port, "/") for _ in range(3)] == [(200, "page 1 é")] * 3
    assert source.made == 1
    source.state = "2"
    assert ask(port, "/state") == (200, "2")
    assert ask(port, "/") == (200, "page 2 é")
    assert source.made == 2


def test_a_page_that_takes_long_is_not_made_at_every_change(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(serving, "monotonic", lambda: now[0])

    def slow() -> str:
        now[0] += 2.0
        return f"page {source.state}"

    site = serving.Site(slow, lambda: source.state)
    assert site.page() == b"page 1"
    source.state = "2"
    now[0] += 2.0 * serving.PAUSE - 0.1
    assert (site.page(), site.shown_state()) == (b"page 1", "1")
    now[0] += 0.2
    assert (site.shown_state(), site.page()) == ("2", b"page 2")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "localhost:1", "", "a|localhost:{port}"]
)
def test_names_that_are_not_this_machines_are_refused(source: Source, port: int, host: str) -> None:
    assert ask(port, "/", host=host.format(port=port))[0] == 403
    assert ask(port, "/state", host=host.format(port=port))[0] == 403
    assert source.made == 0


def test_both_names_of_this_machine_are_answered(port: int) -> None:
    assert [ask(port, "/", host=f"{name}:{port}")[0] for name in ("localhost", "127.0.0.1")] == [200, 200]


@pytest.mark.parametrize("path", ["/../../etc/passwd", "/trials.sqlite", "/favicon.ico", "/?a", "/%2e%2e/", "state"])
def test_there_are_no_other_paths(source: Source, port: int, path: str) -> None:
    assert ask(port, path)[0] == 404
    assert source.made == 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_only_get_is_answered(source: Source, port: int, method: str) -> None:
    assert ask(port, "/", method=method)[0] == 501
    assert source.made == 0


def test_a_page_that_cannot_be_made_is_one_line_and_is_tried_again(source: Source, port: int) -> None:
    source.fault = True
    assert ask(port, "/") == (503, "nas: it is damaged")
    source.fault = False
    assert ask(port, "/")[0] == 200


def test_a_silent_connection_does_not_hold_up_others(port: int) -> None:
    silent = http.client.HTTPConnection("127.0.0.1", port)
    silent.connect()
    assert ask(port, "/")[0] == 200
    silent.close()


def test_it_listens_on_this_machine_alone_and_a_port_that_is_taken_is_an_error(port: int, source: Source) -> None:
    site = Site(source.make, lambda: source.state)
    with server(site) as other:
        assert other.server_address[0] == "127.0.0.1"
    with pytest.raises(ConfigError, match=f"--port {port} cannot be used: .*; give another, or none"):
        server(site, port)
