"""Listening to what a page changes."""

__all__ = ["heed"]


def heed(model, names, function):
    """Call a function with the new value when a page changes properties of a model.

    Parameters
    ----------
    model : bokeh.model.Model
    names : str or sequence of str
    function : callable
    """

    def changed(attr, old, new):  # noqa: ARG001 - Bokeh wants these names
        function(new)

    for name in [names] if isinstance(names, str) else names:
        model.on_change(name, changed)
