"""Who gets the page: its owner, and nobody else."""

import http.client
import re
import socket
import threading

import pytest

from specwcs.errors import ViewerError
from specwcs.viewers import open_viewer
from specwcs.viewers.web import WebViewer
from specwcs.viewers.web.server import PageServer


@pytest.fixture
def viewer():
    with WebViewer(browse=False) as opened:
        yield opened


def parts(viewer):
    port, token = re.fullmatch(r"http://localhost:(\d+)/([\w-]+)/", viewer.url).groups()
    return int(port), token


def answer(port, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers=headers)
    reply = connection.getresponse()
    body = reply.read().decode("utf-8", "replace")
    connection.close()
    return reply.status, body


def test_the_owner_gets_the_page(viewer):
    port, token = parts(viewer)
    status, body = answer(port, f"/{token}/")
    assert status == 200
    assert "<title>specwcs</title>" in body
    for host in ("localhost", "127.0.0.1", "[::1]"):
        assert answer(port, f"/{token}/", Host=f"{host}:{port}")[0] == 200
    assert answer(port, f"/{token}/static/js/bokeh.min.js")[0] == 200


def test_tokens_are_long_and_of_one_page(viewer):
    with WebViewer(browse=False) as other:
        tokens = [parts(one)[1] for one in (viewer, other)]
    assert tokens[0] != tokens[1]
    assert min(map(len, tokens)) >= 32


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "path",
    ["/", "/favicon.ico", "/static/js/bokeh.min.js", "/ws", "/metadata", "/x/", "/{less}/",
     "/{more}/", "//{token}/", "/../{token}/", "/%2e/{token}/ws"],
)  # fmt: skip
def test_without_the_token_there_is_nothing(viewer, path, method):
    port, token = parts(viewer)
    path = path.format(token=token, less=token[:-1], more=token + "a")
    status, body = answer(port, path, method)
    assert status == 403
    assert token not in body
    assert "bokeh" not in body.lower()


@pytest.mark.parametrize("target", [b"*", b"x", b"/\xe9/", b"//", b"/\xff\xfe"])
def test_odd_targets_are_refused_too(viewer, target):
    port, token = parts(viewer)
    with socket.create_connection(("127.0.0.1", port), 5) as raw:
        raw.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        reply = raw.recv(4096)
    assert reply.split()[1:2] in ([b"400"], [b"403"], [])  # or the line is cut
    assert token.encode() not in reply


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "localhost.evil.example:{port}",
             "10.0.0.1:{port}", "127.0.0.1.evil.example", ""],
)  # fmt: skip
def test_a_foreign_host_is_refused_with_the_token(viewer, host):
    port, token = parts(viewer)
    for path in (f"/{token}/", f"/{token}/static/js/bokeh.min.js", f"/{token}/ws"):
        status, body = answer(port, path, Host=host.format(port=port))
        assert status in (400, 403)
        assert token not in body


def test_only_this_machine_is_served(viewer):
    port, _ = parts(viewer)
    addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), port)}
    for address in addresses - {"127.0.0.1"}:
        with socket.socket() as other:
            other.settimeout(2)
            assert other.connect_ex((address, port)) != 0


def token_of_session(viewer):
    """Return what the page itself would say to open its socket."""
    port, token = parts(viewer)
    _, body = answer(port, f"/{token}/")
    return re.search(r'"token":"([^"]+)"', body).group(1)


TEXT, CLOSE = 0x81, 0x88


def upgrade(viewer, session, origin):
    """Ask for a web socket; return the status, or what its first message is."""
    port, token = parts(viewer)
    headers = {
        "Origin": origin,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": f"bokeh, {session}",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", f"/{token}/ws", headers=headers)
        reply = connection.getresponse()
        return reply.status if reply.status != 101 else (reply.fp.read(1) or bytes([CLOSE]))[0]
    finally:
        reply.close()
        connection.close()


def test_a_socket_is_for_our_own_page(viewer):
    port, _ = parts(viewer)
    assert upgrade(viewer, token_of_session(viewer), f"http://localhost:{port}") == TEXT
    for origin in ("http://evil.example", f"http://evil.example:{port}", "null",
                   "http://localhost:1", "http://localhost"):  # fmt: skip
        assert upgrade(viewer, token_of_session(viewer), origin) == 403


def test_a_forged_session_is_refused(viewer):
    port, _ = parts(viewer)
    session = token_of_session(viewer)
    forged = session[:-4] + ("aaaa" if session[-4:] != "aaaa" else "bbbb")
    with WebViewer(browse=False) as other:
        stolen = token_of_session(other)
    for text in (forged, stolen, "x", session[1:]):
        assert upgrade(viewer, text, f"http://localhost:{port}") in (CLOSE, 403, 500)


def test_a_closed_viewer_serves_nobody_and_can_be_opened_anew(viewer):
    port, token = parts(viewer)
    viewer.close()
    assert not viewer.alive
    with pytest.raises(OSError, match="refused"):
        answer(port, f"/{token}/")
    with pytest.raises(ViewerError, match="served no longer"):
        viewer.draw([])
    viewer.reopen()
    assert parts(viewer)[1] != token
    assert answer(parts(viewer)[0], f"/{parts(viewer)[1]}/")[0] == 200
    viewer.close()
    viewer.close()


def test_a_port_that_is_taken_is_an_error():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ViewerError, match=f"port {taken.getsockname()[1]} cannot be used"):
            PageServer(print, taken.getsockname()[1])


def test_the_way_to_a_remote_machine_is_printed(monkeypatch, capsys):
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 2 10.0.0.2 22")
    with WebViewer(browse=False) as viewer:
        port, _ = parts(viewer)
        said = capsys.readouterr().out
    assert viewer.url if viewer.alive else True
    assert f"ssh -N -L {port}:127.0.0.1:{port} " in said
    assert f"http://localhost:{port}/" in said


def test_a_browser_is_opened_where_there_is_a_screen(monkeypatch):
    asked, told = [], threading.Event()
    monkeypatch.setattr("webbrowser.open", lambda url: (asked.append(url), told.set()))
    open_viewer("web").close()
    assert not told.wait(0.3)
    monkeypatch.setenv("DISPLAY", ":9")
    with open_viewer("web") as viewer:
        assert told.wait(5)
        assert asked == [viewer.url]


def test_in_a_notebook_the_page_is_a_frame(viewer):
    assert f'src="{viewer.url}"' in viewer._repr_html_()
