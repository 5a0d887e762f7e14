"""What a calibration session asks of a viewer, whatever draws the pixels."""

from abc import ABC, abstractmethod

__all__ = ["Viewer"]


class Viewer(ABC):
    """A window that shows one image and shapes on it, which the user may move.

    There are one or two frames: frame 1, and beside it frame 2 after `split`. The *work
    frame* is the one on which the user works: 2 when split, else 1. Coordinates are 0-based
    pixels. All methods raise `ViewerError` within seconds if the viewer is gone or does not
    answer, and work again when it does. A viewer may be used from several threads.
    """

    @abstractmethod
    def show(self, image, title):
        """Show an image in frame 1 alone, fitted to the window, without shapes.

        Parameters
        ----------
        image : ndarray, shape (ny, nx)
        title : str
            What it is, for the user.
        """

    @abstractmethod
    def draw(self, shapes, frame=1):
        """Replace all shapes of a frame.

        Parameters
        ----------
        shapes : iterable of Shape
        frame : {1, 2}, optional
        """

    @abstractmethod
    def read(self, frame=1):
        """Return the shapes of a frame as they stand now: moved, deleted and added ones.

        Returns
        -------
        list of Shape
            In any order. Fixed ones are left out.

        Raises
        ------
        InputError
            If the user drew something that is no `Shape`.
        """

    @abstractmethod
    def split(self, columns):
        """Show the image in two frames; frame 1 keeps its shapes, frame 2 has none.

        Parameters
        ----------
        columns : bool
            Side by side (frame 1 left) instead of one above the other (frame 1 above).
        """

    @abstractmethod
    def join(self):
        """Go back to frame 1 alone."""

    @abstractmethod
    def look(self, x, y, width, height, frame=1):
        """Pan and zoom so that a rectangle, of this centre and size, fills a frame."""

    @property
    @abstractmethod
    def alive(self):
        """Whether the viewer is still there: cheap to ask."""

    @abstractmethod
    def reopen(self):
        """Start anew where the viewer has gone; show the last image again, without shapes."""

    @abstractmethod
    def watch(self, callback):
        """Tell of what the user changes in the work frame, within about two seconds.

        Parameters
        ----------
        callback : callable
            Called with the list of shapes, from another thread and with the viewer locked,
            when they differ from those last drawn or read. It must be quick. It is called
            again with the same shapes if it fails.
        """

    @abstractmethod
    def unwatch(self):
        """End `watch`."""

    @abstractmethod
    def close(self):
        """Close the viewer. It cannot be used afterwards."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
