"""Many exposures: a plan, the tasks that it makes, and who does them.

A task is a command of specwcs, as a person would type it. `plan` reads what is to be done, `tasks`
makes the commands, `work` does one of them unless it is done already, `night` has them all done,
here or on a cluster, and `summary` tells what became of them.
"""

from .night import run_plan
from .plan import Plan

__all__ = ["Plan", "run_plan"]
