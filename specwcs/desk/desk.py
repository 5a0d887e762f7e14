"""One session, any number of pages: asked for one thing at a time, told what came of it."""

import threading
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor

from specwcs.errors import SpecwcsError

from .actions import Actions, Settings
from .facts import Facts

__all__ = ["Desk"]

_SAID = 40  # sentences that are kept


class Desk:
    """Pages of a session.

    Parameters
    ----------
    session : ModelsCalibration

    Attributes
    ----------
    settings : Settings
    pages : list of Page
        Those that are open.
    facts : Facts or None
        What pages show; None until it was read first.
    said : list of (str, str)
        What the session said last: ``"info"``, ``"warning"`` or ``"error"``, and the sentence.
    doing : str
        What is being done; empty when idle.
    atlas : (ndarray, ndarray) or None
        Wavelengths (Angstrom) and flux of a reference spectrum, shown above that of a slit.
    advice : (str, tuple of int) or None
        A model, and the degrees that cross-validation gave it.
    lamps : dict of str to object
        Catalogues that are offered, by the names under which they are.
    lamp : str
        The one that was chosen; empty before.
    """

    def __init__(self, session):
        self.session, self.settings = session, Settings()
        self.actions = Actions(session, self.settings)
        self.facts, self.said, self.doing = None, [], ""
        self.atlas, self.advice = None, None
        self.lamps, self.lamp = _lamps(), ""
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="specwcs-desk")
        self.pages, self._viewer, self._waiting, self._busy = [], None, 0, False
        self._lock, self._version = threading.Lock(), None

    def __call__(self, document, viewer):
        """Fill a document with a page of the session."""
        from .page import Page

        self._viewer = viewer
        page = Page(document, viewer, self)
        self.pages.append(page)
        document.on_session_destroyed(lambda _: self.pages.remove(page))
        if self.facts is None:
            self.look()
        else:
            page.show()

    @property
    def idle(self):
        """Whether all that was asked for is done."""
        return self._waiting == 0 and not self._busy

    # -- work ---------------------------------------------------------------------------------

    def do(self, what, action, *args, **kwargs):
        """Have a call of the session done, after those that were asked for before.

        Parameters
        ----------
        what : str
            For the user, while it lasts: "fitting IDS".
        action : callable
            What it returns, if it is a sentence, is told.
        """
        self._submit(what, lambda: action(*args, **kwargs))

    def look(self):
        """Read anew what there is to show, after markers were moved or at the start."""
        self._submit("", lambda: None)

    def look_again(self):
        """Read anew if the session has drawn since: somebody works on it beside the page."""
        if self.idle and self._viewer.version != self._version:
            self.look()

    def compute(self, action, show):
        """Have something computed for one page, and shown there.

        Parameters
        ----------
        action : callable
            Its result, or the `SpecwcsError` that it raised, is given to `show`.
        show : callable
            Called in the thread of the pages.
        """

        def work():
            try:
                with self.session.turn:
                    result = action()
            except SpecwcsError as error:
                result = error
            except Exception as error:
                traceback.print_exc()
                result = SpecwcsError(f"a fault of specwcs: {error!r}")
            self._viewer.soon(lambda: show(result))

        self._worker.submit(work)

    def advise(self):
        """Look for the degrees that the markers support, by cross-validation."""

        def look():
            model = self.session.progress.model
            self.advice = None
            try:
                self.advice = model, self.session.advise()[0]
            except SpecwcsError:
                return  # too few markers say so in the fit itself

        self._submit("", look)

    def choose_lamp(self, name):
        """Take the lines of a catalogue from now on."""
        self.lamp, self.settings.catalog = name, self.lamps[name]

    def offer_lamp(self, name, catalog):
        """Offer a catalogue, and choose it."""
        self.lamps = {name: catalog, **self.lamps}
        self.choose_lamp(name)

    def leave(self):
        """End the session of all pages."""
        self._worker.submit(self.session.close)

    def tell(self, text, kind="info"):
        """Tell a sentence on all pages."""
        with self._lock:
            self.said = [*self.said, (kind, text)][-_SAID:]
        self._show("said")

    def _submit(self, what, action):
        with self._lock:
            self._waiting += 1
        self._worker.submit(self._work, what, action)

    def _work(self, what, action):
        with self._lock:
            self._waiting, self._busy = self._waiting - 1, True
            last = self._waiting == 0
        if what:
            self.doing = what
            self._show("doing")
        with (
            self.session.turn,
            self.session.hear(self.tell),
            warnings.catch_warnings(record=True) as heard,
        ):
            warnings.simplefilter("always")
            self._attempt(action)
            if last:  # what is shown between two steps that follow at once, nobody sees
                self._attempt(self._read)
        for warning in heard:
            self.tell(str(warning.message), "warning")
        self.doing, self._busy = "", False
        self._show("facts")

    def _attempt(self, action):
        try:
            said = action()
            if isinstance(said, str):
                self.tell(said)
        except SpecwcsError as error:
            self.tell(str(error), "error")
        except Exception as error:  # a page must not hang on a fault of ours
            traceback.print_exc()
            self.tell(f"a fault of specwcs: {error!r}. The session is as it was.", "error")

    def _read(self):
        self._version = self._viewer.version
        self.facts = Facts.of(self.session)

    def _show(self, what):
        if self._viewer is None:
            return
        for page in list(self.pages):
            self._viewer.soon(lambda page=page: page.later(what))


def _lamps():
    """Return the catalogues that ship, by name."""
    from importlib.resources import files

    folder = files("specwcs.conf") / "catalogs"
    names = sorted(entry.name.removesuffix(".dat") for entry in folder.iterdir()
                   if entry.name.endswith(".dat"))  # fmt: skip
    return {name: name for name in names}
