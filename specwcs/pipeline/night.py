"""All tasks of a plan, on this machine or on a cluster: the same tasks, the same results."""

from collections import defaultdict, deque
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

from specwcs.errors import InputError

from .process import dismiss
from .tasks import tasks_of
from .work import check_folder, perform

__all__ = ["RECORDS", "run_plan"]

_PATIENCE = 10  # s, until a scheduler answers
RECORDS = ".tasks"
"""The folder of the records, in that of the output."""


def run_plan(plan, jobs=1, scheduler=None, progress=None):
    """Do all that a plan asks for and that is not done already.

    Parameters
    ----------
    plan : Plan
    jobs : int
        Tasks at a time on this machine.
    scheduler : str, optional
        Address of a dask scheduler, whose workers do the tasks instead; they must see the same
        files under the same names.
    progress : callable, optional
        Called with each `Record` as it comes.

    Returns
    -------
    list of Record
        In the order of the plan. A task that fails, and those that need it, say so; the
        others are done.

    Raises
    ------
    InputError
        If the output cannot be written, or no scheduler is there.
    """
    tasks, records = tasks_of(plan), plan.output / RECORDS
    for folder in (records, plan.output / "calibration", plan.output / "spectra"):
        check_folder(folder)
    told = progress or _nobody
    if scheduler is not None:
        return _on_cluster(tasks, records, scheduler, told)
    return _here(tasks, records, jobs, told)


def _nobody(_):
    pass


def _here(tasks, records, jobs, told):
    """Do tasks in processes of their own, started from as many threads."""
    done, running, blocked = {}, {}, defaultdict(deque)
    for task in tasks:
        blocked[task.after].append(task)
    ready = blocked.pop(None, deque())
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while ready or running:
                while ready and len(running) < jobs:
                    task = ready.popleft()
                    running[pool.submit(perform, task, records, done.get(task.after))] = task
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future).name
                    told(done.setdefault(name, future.result()))
                    ready += blocked.pop(name, ())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            dismiss()
    return [done[task.name] for task in tasks]


def _on_cluster(tasks, records, scheduler, told):
    """Do tasks on the workers of dask."""
    try:
        from distributed import Client, as_completed
    except ModuleNotFoundError as error:
        raise InputError(
            "dask.distributed is missing", "", "pip install 'specwcs[cluster]'"
        ) from error
    try:
        client = Client(scheduler, timeout=_PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            f"no scheduler answers at {scheduler} ({error})", "",
            "Start one with 'dask scheduler', or check the address",
        ) from error  # fmt: skip
    with client:
        futures = {}
        for task in tasks:
            # Impure: what is done is known by the records, not by the scheduler.
            futures[task.name] = client.submit(
                perform, task, records, futures.get(task.after), pure=False, retries=2
            )
        for future in as_completed(futures.values()):
            told(future.result())
        return [futures[task.name].result() for task in tasks]
