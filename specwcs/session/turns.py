"""One call of a session at a time: a page and a prompt may both be working on it."""

from functools import wraps

__all__ = ["in_turn"]


def in_turn(cls):
    """Have the public methods and properties of a class wait for its lock, ``turn``."""
    for name in dir(cls):
        member = getattr(cls, name)
        if name.startswith("_") or name in vars(object):
            continue
        if isinstance(member, property):
            setter = member.fset and _locked(member.fset)
            setattr(cls, name, property(_locked(member.fget), setter, doc=member.__doc__))
        elif callable(member) and not hasattr(member, "__self__"):
            setattr(cls, name, _locked(member))
    return cls


def _locked(function):
    @wraps(function)
    def waiting(self, *args, **kwargs):
        with self.turn:
            return function(self, *args, **kwargs)

    return waiting
