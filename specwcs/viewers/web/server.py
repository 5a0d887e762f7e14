"""A server for one page that only its owner can reach."""

import asyncio
import getpass
import logging
import os
import re
import secrets
import socket
import threading
from pathlib import Path

from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.web import RequestHandler

from specwcs.errors import ViewerError

__all__ = ["PageServer"]

_HERE = "127.0.0.1"
_NAMES = ("localhost", "127.0.0.1", "[::1]")
_START = 20  # s
_MESSAGE = 64 * 2**20  # bytes, of one message from the page
_KEPT = 15_000  # ms that the document of a page that was closed is kept

# What the server says of pages that come and go is not for the user's terminal.
for _name in ("bokeh", "tornado.access"):
    logging.getLogger(_name).setLevel(logging.ERROR)


class PageServer:
    """Serve one Bokeh application on the loopback interface, from a thread of its own.

    The address holds a random token: without it every request is refused, as is one whose
    ``Host`` is not this machine by name (another site's name that resolves to it). Sessions are
    signed, and web sockets are taken from our own pages only.

    Parameters
    ----------
    application : callable
        Given a `bokeh.document.Document`, fills it; called in the server's thread.
    port : int, optional
        0 for any that is free.

    Raises
    ------
    ViewerError
        If the port is taken.
    """

    def __init__(self, application, port=0):
        self._token = secrets.token_urlsafe(24)
        try:
            listening = socket.create_server((_HERE, port), reuse_port=False)
        except OSError as error:
            raise ViewerError(
                f"port {port} cannot be used ({error.strerror}). Choose another, or none"
            ) from error
        listening.setblocking(False)
        self.port = listening.getsockname()[1]
        self._ready, self._loop, self._fault = threading.Event(), None, None
        self._thread = threading.Thread(
            target=self._run, args=(application, listening), name="specwcs-page", daemon=True
        )
        self._thread.start()
        if not self._ready.wait(_START) or self._fault is not None:
            raise ViewerError(f"the page's server did not start: {self._fault or 'no answer'}")

    @property
    def url(self):
        """The address of the page, its token in it."""
        return f"http://localhost:{self.port}/{self._token}/"

    @property
    def tunnel(self):
        """The command that makes the page of a remote machine open at the same address."""
        return f"ssh -N -L {self.port}:{_HERE}:{self.port} {_user()}@{socket.gethostname()}"

    @property
    def remote(self):
        """Whether the user sits at another machine, as far as can be told."""
        return bool(os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_CLIENT"))

    @property
    def alive(self):
        """Whether it serves."""
        return self._thread.is_alive() and self._loop is not None

    def soon(self, action):
        """Have the server's thread call a function."""
        if self._loop is not None:
            self._loop.add_callback(action)

    def stop(self):
        """Stop serving; pages that are open say so."""
        loop, self._loop = self._loop, None
        if loop is None:
            return

        def end():
            self._server.stop(wait=False)
            loop.stop()

        loop.add_callback(end)
        if threading.current_thread() is not self._thread:
            self._thread.join(5)

    def _run(self, application, listening):
        asyncio.set_event_loop(asyncio.new_event_loop())
        loop = IOLoop.current()
        try:
            tornado = _Guarded(
                application,
                prefix=f"/{self._token}",
                extra_websocket_origins=[f"{name}:{self.port}" for name in _NAMES],
                secret_key=secrets.token_bytes(32),
                sign_sessions=True,
                generate_session_ids=True,
                websocket_max_message_size_bytes=_MESSAGE,
                unused_session_lifetime_milliseconds=_KEPT,
                check_unused_sessions_milliseconds=_KEPT,
                stats_log_frequency_milliseconds=10**9,
                use_index=False,
                ico_path="none",
            )
            http = HTTPServer(tornado)
            http.add_socket(listening)
            self._server = BaseServer(loop, tornado, http)
            self._server.start()
        except Exception as error:  # told to whoever waits for the start
            self._fault = error
            self._ready.set()
            return
        self._loop = loop
        loop.add_callback(self._ready.set)
        loop.start()
        http.stop()


class _Guarded(BokehTornado):
    """Refuse what does not come through a name of this machine, and what lacks the token."""

    def find_handler(self, request, **kwargs):
        """Find who answers a request."""
        name = re.sub(r":\d+$", "", request.headers.get("Host", ""))
        why = None
        if name not in _NAMES:
            why = "This page is only served to localhost."
        elif not secrets.compare_digest(
            request.path.removeprefix("/").partition("/")[0].encode(), self.prefix[1:].encode()
        ):
            why = "The address lacks its token: open the address that specwcs printed."
        if why is not None:
            return self.get_handler_delegate(request, _Refusal, {"why": why})
        return super().find_handler(request, **kwargs)


class _Refusal(RequestHandler):
    """One sentence, and nothing that a foreign page could use."""

    def initialize(self, why):
        """Take the sentence."""
        self._why = why

    def prepare(self):
        """Answer every method."""
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(self._why)


def _user():
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        return Path.home().name or "user"
