"""`parallelism`: the number of threads or processes that a pool should have now."""

from __future__ import annotations

import os

from .page import SetPage

_CGROUPS = "/sys/fs/cgroup"


def parallelism(page: SetPage | None = None) -> int:
    """The number of processors that this process can use now, at least 1.

    It counts the active processors of the page that are in the affinity mask of the calling thread; without a page, the mask alone.
    The CPU quotas of this process's cgroup and its ancestors limit it, rounded up. It reads a few files: call it after a change,
    not for each task.
    """
    mask = os.sched_getaffinity(0)
    count = len(mask if page is None else mask.intersection(page.ids))
    quotas = [_ceiling(quota, period) for quota, period in _quotas()]
    return max(1, min([count, *quotas]))


def _ceiling(quota: int, period: int) -> int:
    return -(-quota // period)


def _quotas() -> list[tuple[int, int]]:
    """Each quota that is in force for this process, and its period, in microseconds."""
    found = []
    for line in _lines("/proc/self/cgroup"):
        _, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        if controllers == "":
            root, is_v1 = _CGROUPS, False
        elif "cpu" in controllers.split(","):
            root, is_v1 = os.path.join(_CGROUPS, "cpu"), True
        else:
            continue
        parts = [part for part in path.split("/") if part]
        for depth in range(len(parts) + 1):
            folder = os.path.join(root, *parts[:depth])
            if is_v1:
                text = [*_lines(f"{folder}/cpu.cfs_quota_us")[:1], *_lines(f"{folder}/cpu.cfs_period_us")[:1]]
            else:
                text = " ".join(_lines(f"{folder}/cpu.max")[:1]).split()
            # "max" or -1: no quota.
            if len(text) == 2 and all(word.isdecimal() for word in text) and int(text[1]) > 0:
                found.append((int(text[0]), int(text[1])))
    return found


def _lines(path: str) -> list[str]:
    try:
        with open(path) as file:
            return file.read().splitlines()
    except OSError:
        return []
