"""A user with mouse and keys at the page of a session, in a real browser."""

import time

SETTLE = 0.12
"""Seconds in which a page draws what it was told."""

_VIEW = """
(name) => {
  const model = Bokeh.documents[0].get_model_by_name(name)
  const view = Bokeh.index.find_one(model)
  const {left, top} = view.canvas_view.events_el.getBoundingClientRect()
  return {view, left, top}
}
"""
_SCREEN = f"""
([name, points]) => {{
  const {{view, left, top}} = ({_VIEW})(name)
  const {{x_scale, y_scale}} = view.frame
  return points.map(([x, y]) => [left + x_scale.compute(x), top + y_scale.compute(y)])
}}
"""
_TEXT = """
() => {
  const collect = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.textContent
    if (/^(STYLE|SCRIPT)$/.test(node.nodeName)) return ""
    return [...(node.shadowRoot?.childNodes ?? []), ...node.childNodes].map(collect).join(" ")
  }
  return collect(document.body)
}
"""
_COLUMNS = """
(name) => {
  const {data} = Bokeh.documents[0].get_model_by_name(name).renderers[0].data_source
  return Object.fromEntries(Object.entries(data).map(([key, values]) => [key, Array.from(values)]))
}
"""
_PLACES = """
(name) => {
  const plot = Bokeh.documents[0].get_model_by_name(name)
  const {data} = plot.renderers.map(r => r.data_source).find(s => s.data.corner !== undefined)
  return Object.fromEntries(Object.entries(data).map(([key, values]) => [key, Array.from(values)]))
}
"""
_SELECTED = """
(name) => {
  const plot = Bokeh.documents[0].get_model_by_name(name)
  const source = plot.renderers.map(r => r.data_source).find(s => s.data.corner !== undefined)
  return source.selected.indices.map(row => source.data.shape[row])
}
"""
_PING = """
(text) => { Bokeh.documents[0].get_model_by_name("frame1").tags[0].text = text }
"""
_RANGES = """
(name) => {
  const {x_range, y_range} = Bokeh.documents[0].get_model_by_name(name)
  return [x_range.start, x_range.end, y_range.start, y_range.end]
}
"""


class Tabs:
    """The tabs of a browser; one that was left is used again, as to start one takes seconds.

    Parameters
    ----------
    browser : playwright Browser
    """

    def __init__(self, browser):
        self._browser, self._left = browser, []

    def take(self):
        return self._left.pop() if self._left else self._browser.new_page()

    def leave(self, page):
        if page.is_closed():
            return
        page.goto("about:blank")
        page.context.clear_cookies()
        self._left.append(page)


class Hand:
    """A user at a page.

    Parameters
    ----------
    tabs : Tabs
    viewer : WebViewer
    """

    def __init__(self, tabs, viewer, size=(1280, 820)):
        self.viewer, self.complaints, self._pings = viewer, [], 0
        self._tabs, self.page = tabs, tabs.take()
        self.page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
        self.page.set_default_timeout(20_000)
        self._ears = {"console": self._listen, "request": self._watch, "pageerror": self._hear}
        for event, ear in self._ears.items():
            self.page.on(event, ear)
        self.open()

    def leave(self):
        """Go away from the page, as one who closes it."""
        for event, ear in self._ears.items():
            self.page.remove_listener(event, ear)
        self._tabs.leave(self.page)

    def _hear(self, error):
        self.complaints.append(str(error))

    def _listen(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _watch(self, request):
        """Nothing may come from elsewhere."""
        if not request.url.startswith((self.viewer.url, "data:", "blob:")):
            self.complaints.append(f"asked for {request.url}")

    def open(self):
        """Open the page, or reload it."""
        self.page.goto(self.viewer.url)
        self.page.wait_for_function(
            "window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle"
        )
        self.settle()

    def settle(self, patience=120):
        """Wait until all that was asked for is done and shown."""
        end = time.monotonic() + patience
        desk = self.viewer.page
        # What is said last comes last: then all that was clicked before has been heard.
        self._pings += 1
        ping = f'{{"kind": "ping", "version": -1, "n": "{id(self)}-{self._pings}"}}'
        self.page.evaluate(_PING, ping)
        while not any(page.board.frames[1].post.text == ping for page in desk.pages):
            assert time.monotonic() < end, "the page does not answer"
            time.sleep(0.01)
        while not desk.idle or any(page.facts is not desk.facts for page in desk.pages):
            assert time.monotonic() < end, f"still {desk.doing}"
            time.sleep(0.03)
        # And back: what the server says last is there once all before it is.
        (own,) = [p for p in desk.pages if p.board.frames[1].post.text == ping]
        echo = ping.replace("ping", "echo")
        post = own.board.frames[1].post
        own.board.document.add_next_tick_callback(lambda: setattr(post, "text", echo))
        self.page.wait_for_function(
            'echo => Bokeh.documents[0].get_model_by_name("frame1").tags[0].text === echo',
            arg=echo,
        )
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(done))")
        time.sleep(SETTLE)

    def press(self, label, wait=True):
        """Click a button."""
        self.page.get_by_role("button", name=label, exact=True).click()
        if wait:
            self.settle()

    def step(self, label):
        """Click one of the three steps."""
        self.press(label)

    def choose(self, title, value):
        """Choose from a list."""
        self.page.get_by_label(title, exact=True).select_option(value)
        self.settle()

    def fill(self, title, text):
        """Type into a field."""
        field = self.page.get_by_label(title, exact=True)
        field.fill(str(text))
        field.press("Enter")
        self.settle()

    def key(self, name, at=None):
        """Press a key, over a place of the frame (px)."""
        if at is not None:
            self.page.mouse.move(*self.screen([at])[0])
        self.page.keyboard.press(name)
        self.settle()

    @property
    def frame(self):
        """The name of the frame on which one works."""
        return f"frame{self.viewer.work}"

    def screen(self, points, name=None):
        """Return where pixels of a frame are on the page."""
        points = [[float(x), float(y)] for x, y in points]
        return self.page.evaluate(_SCREEN, [name or self.frame, points])

    def view(self, name=None):
        """Return x from, to, y from, to of what a figure shows."""
        return self.page.evaluate(_RANGES, name or self.frame)

    def look(self, x, y, turns=1):
        """Zoom in on a place with the wheel, six times a turn, from the whole frame."""
        self.key("w")
        self.page.mouse.move(*self.screen([(x, y)])[0])
        for _ in range(turns):
            self.page.mouse.wheel(0, -500)
            time.sleep(0.1)
        self.settle()

    def drag(self, start, end, *, modifier=None):
        """Drag from a pixel to a pixel of the frame."""
        (x0, y0), (x1, y1) = self.screen([start, end])
        mouse = self.page.mouse
        mouse.move(x0, y0)
        if modifier:
            self.page.keyboard.down(modifier)
        mouse.down()
        mouse.move((x0 + x1) / 2, (y0 + y1) / 2)
        mouse.move(x1, y1)
        mouse.up()
        if modifier:
            self.page.keyboard.up(modifier)

    def said(self):
        """Return what the page tells, the last first."""
        return self.page.locator(".said .bk-clearfix").inner_text()

    def page_text(self, name):
        """Return the title of a figure."""
        return self.page.evaluate(
            "name => Bokeh.documents[0].get_model_by_name(name).title.text", name
        )

    def wait_for_text(self, name, text):
        """Wait until a figure has a title."""
        end = time.monotonic() + 20
        while text not in self.page_text(name):
            assert time.monotonic() < end, self.page_text(name)
            time.sleep(0.05)

    def text(self):
        """Return all that is written on the page beside figures."""
        return self.page.evaluate(_TEXT)

    def source(self, name):
        """Return the columns of the first glyph of a figure."""
        return self.page.evaluate(_COLUMNS, name)

    def places(self):
        """Return the columns of the handles of the markers on the frame."""
        return self.page.evaluate(_PLACES, self.frame)

    def selected(self):
        """Return the rows of the markers that are selected on the frame."""
        numbers = self.page.evaluate(_SELECTED, self.frame)
        shapes = self.viewer.shapes(self.viewer.work)
        return sorted({int(shapes[n].tags["n"]) for n in numbers})

    def middle(self, name):
        """Return where the middle of a figure is on the page."""
        x0, x1, y0, y1 = self.view(name)
        return self.screen([((x0 + x1) / 2, (y0 + y1) / 2)], name)[0]

    def shot(self, path):
        """Take a picture."""
        self.page.screenshot(path=path)
