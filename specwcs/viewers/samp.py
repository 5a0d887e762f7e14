"""Talk to a DS9 of our own through SAMP, the messages of the Virtual Observatory.

SAMP needs a hub. Ours serves nobody but the DS9 that was started with its lock file: it
listens on this machine only, leaves the user's own hub and ``~/.samp`` alone, and takes part
in nothing that could hang: each question has its time limit, and its threads end with the
interpreter. That is why pyvo's hub does not serve here: it follows ``SAMP_HUB``, tidies in the
user's home, and its threads wait for a stopped DS9 without limit when the interpreter ends.
"""

import threading
import xmlrpc.client
from hmac import compare_digest
from http.client import HTTPException
from pathlib import Path
from secrets import token_hex
from socketserver import ThreadingMixIn
from time import monotonic
from urllib.parse import unquote, urlsplit
from xmlrpc.server import SimpleXMLRPCServer

from specwcs.errors import ViewerError

__all__ = ["SampHub"]

SETTLE = 3
"""Seconds after which a DS9 that has come has surely asked its own questions."""


class SampHub:
    """A hub of the SAMP standard profile with one client, and the way to ask that client.

    Parameters
    ----------
    folder : pathlib.Path
        Where to write the lock file. Must be private: the file holds the hub's secret.
    """

    def __init__(self, folder):
        self._secret, self._key = token_hex(16), token_hex(16)
        self._client = None
        self._arrival = None  # when DS9 came
        self._settled = False
        self._asked = 0
        self._asking = None  # the thread that does
        self._answer = self._fault = None
        self._server = _Server(("127.0.0.1", 0), logRequests=False, allow_none=True)
        self._server.register_instance(self)
        self._lock_file = folder / "samp"
        self._lock_file.write_text(
            f"samp.secret={self._secret}\n"
            f"samp.hub.xmlrpc.url=http://127.0.0.1:{self._server.server_address[1]}/\n"
            "samp.profile.version=1.3\n"
        )
        serve = {"poll_interval": 0.05}
        thread = threading.Thread(target=self._server.serve_forever, kwargs=serve, daemon=True)
        thread.start()

    @property
    def environment(self):
        """Environment variables that lead a program to this hub."""
        return {"SAMP_HUB": f"std-lockurl:{self._lock_file.as_uri()}"}

    @property
    def found(self):
        """Whether DS9 has come to this hub; it may not yet be `connected`."""
        return self._arrival is not None

    @property
    def connected(self):
        """Whether DS9 can be asked."""
        return self._settled or (self.found and monotonic() > self._arrival + SETTLE)

    def set(self, command, timeout):
        """Have DS9 carry out a command; `TimeoutError` if it does not within `timeout` s."""
        self._call("ds9.set", command, timeout)

    def get(self, command, timeout):
        """Return what DS9 answers to a question, as text."""
        result = self._call("ds9.get", command, timeout)
        if "url" not in result:
            return result.get("value", "")
        path = Path(unquote(urlsplit(result["url"]).path))
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        finally:
            path.unlink(missing_ok=True)

    def close(self):
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def _call(self, kind, command, timeout):
        end = monotonic() + timeout
        # DS9 gets lost in calls that overlap: one that was given up must be over first.
        self._wait(end)
        self._asked += 1
        self._answer = self._fault = None
        message = {"samp.mtype": kind, "samp.params": {"cmd": command}}
        self._asking = threading.Thread(target=self._ask, args=(message,), daemon=True)
        self._asking.start()
        self._wait(end)
        if self._answer is None:  # DS9 replies before it returns from the call
            raise ConnectionError(f"no reply to {command!r}") from self._fault
        if self._answer.get("samp.status") == "samp.error":
            reason = self._answer.get("samp.error", {}).get("samp.errortxt", "no reason given")
            raise ViewerError(f"DS9 refused {command!r}: {reason}")
        return self._answer.get("samp.result", {})

    def _wait(self, end):
        if self._asking is not None:
            self._asking.join(max(0, end - monotonic()))
            if self._asking.is_alive():
                raise TimeoutError

    def _ask(self, message):
        try:
            with xmlrpc.client.ServerProxy(self._client) as ds9:
                ds9.samp.client.receiveCall(self._key, "specwcs", self._number, message)
        except (xmlrpc.client.Error, HTTPException, OSError) as err:
            self._fault = err

    @property
    def _number(self):
        return f"specwcs-{self._asked}"

    # -- what the client asks of the hub ------------------------------------------

    def _dispatch(self, method, params):
        """Answer a call of the standard profile (the name is that of `xmlrpc.server`)."""
        name = method.removeprefix("samp.hub.")
        if name == "ping":
            return ""
        if not params or not compare_digest(
            str(params[0]), self._secret if name == "register" else self._key
        ):
            raise PermissionError(method)
        if name == "register":
            self._arrival, self._settled = monotonic(), False
            return {
                "samp.hub-id": "hub",
                "samp.self-id": "ds9",
                "samp.private-key": self._key,
            }
        if name == "setXmlrpcCallback":
            # DS9 names this machine by its host name, which need not resolve.
            self._client = f"http://127.0.0.1:{urlsplit(params[1]).port}/"
        elif name == "reply" and params[1] == self._number:  # else it comes too late
            self._answer = params[2]
        elif name == "getSubscribedClients":
            # DS9 asks these questions a second after it has come. A call that reached it
            # while it waits for the answers would get no reply, so ours wait for the last.
            if params[1] == "table.load.votable":
                self._settled = True
            return {}  # there are no other clients
        return ""


class _Server(ThreadingMixIn, SimpleXMLRPCServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, client_address):
        """Say nothing of a client that hung up."""
