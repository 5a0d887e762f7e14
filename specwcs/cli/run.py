"""``specwcs run``: a plan of calibrations and exposures, as many at a time as there are cores."""

from pathlib import Path

from specwcs.cli.console import Outcome, Status
from specwcs.errors import InputError

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    """Add the arguments of the command."""
    add = parser.add_argument
    add("plan", type=Path, metavar="PLAN", help="plan (.toml): frames, what they are, options")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=int, default=1, metavar="N",
        help="tasks at a time on this machine (default: %(default)s)")  # fmt: skip
    where.add_argument("--scheduler", metavar="tcp://HOST:PORT",
        help="dask scheduler whose workers do the tasks")  # fmt: skip


def run(args, console):
    """Run the command. What is done and unchanged is not done again.

    Returns
    -------
    Outcome
    """
    from specwcs.pipeline import Plan, run_plan
    from specwcs.pipeline.summary import write_summary

    if args.jobs < 1:
        raise InputError(f"--jobs {args.jobs}", "Must be at least 1")
    plan, start = Plan.read(args.plan), console.seconds
    records = run_plan(plan, args.jobs, args.scheduler, lambda r: console.step(_line(r)))
    page = plan.output / "index.html"
    write_summary(page, records, f"{args.plan.stem}: {plan.instrument}")
    facts = {
        "plan": args.plan,
        "page": page,
        "tasks": {r["name"]: {k: r[k] for k in _TOLD} for r in records},
        "seconds": console.seconds - start,
    }
    again = sum(not r["repeated"] for r in records)
    done = sum(r.done for r in records)
    lines = [f"{done} of {len(records)} tasks done, {again} of them unchanged, in "
             f"{facts['seconds']:.0f} s"]  # fmt: skip
    lines += [f"  {_line(r)}" for r in records if r["status"] != 0]
    lines += [f"  look at      {page}"]
    return Outcome(_joint({r["status"] for r in records}), facts, lines)


_TOLD = ("kind", "status", "state", "error", "seconds", "repeated", "outputs")


def _line(record):
    how = "unchanged" if not record["repeated"] else f"{record['seconds']:.1f} s"
    why = f": {record['error']}" if record["error"] else ""
    return f"{record['name']}: {record['state']}, {how}{why}"


def _joint(statuses):
    if 1 in statuses:
        return Status.FAULT
    return Status(statuses.pop()) if len(statuses) == 1 else Status.SOME_FAILED
