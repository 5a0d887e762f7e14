"""Work on many slits at once: numpy computes on all cores while Python holds one."""

import multiprocessing
import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np

__all__ = ["each", "product"]

_MOST = 4  # threads: each has the pixels of a slit in memory
_ALONE = 2**18  # multiplications that OpenBLAS does in one thread
_SEVERAL = 4  # rows, or else a product is made by its columns


def each(work, items):
    """Call `work` for each item, on several cores unless the caller is one of many itself.

    Parameters
    ----------
    work : callable
        ``work(item)``; it must not change what others read.
    items : sequence

    Yields
    ------
    object
        What it returned, in the order of the items.
    """
    threads = min(_cores(), len(items), _MOST)
    if threads < 2:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        # None is begun before it is its turn: results of slits are large.
        ahead = deque()
        for item in items:
            ahead.append(pool.submit(work, item))
            if len(ahead) > threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def product(left, right):
    """Multiply matrices in parts so small that OpenBLAS does not share them out to threads.

    That costs more than it brings, the more so where several slits are worked on at once.

    Parameters
    ----------
    left : ndarray, shape (m, k)
    right : ndarray, shape (..., k, n)

    Returns
    -------
    ndarray, shape (..., m, n)
    """
    (m, k), n = left.shape, right.shape[-1]
    out = np.empty((*right.shape[:-2], m, n))
    rows = _ALONE // max(k * n, 1)
    if rows >= min(_SEVERAL, m):
        for first in range(0, m, max(rows, 1)):
            part = slice(first, first + rows)
            np.matmul(left[part], right, out=out[..., part, :])
        return out
    columns = max(_ALONE // left.size, 1)
    for first in range(0, n, columns):
        part = slice(first, first + columns)
        np.matmul(left, right[..., part], out=out[..., part])
    return out


def _cores():
    """Return how many cores are this thread's to use: one in a thread or a process of a pool.

    ``OMP_NUM_THREADS`` limits them as it does those of numerical libraries.
    """
    if threading.current_thread() is not threading.main_thread():
        return 1
    if multiprocessing.parent_process() is not None:
        return 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(wanted)) if wanted.isdecimal() else cores
