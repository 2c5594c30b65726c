# What CPython sees when it starts, and once its mask has grown.
import concurrent.futures
import multiprocessing
import os
import sys
import time


def mask():
    return os.sched_getaffinity(0)


def say(word, pool, executor):
    process_cpu_count = getattr(os, "process_cpu_count", lambda: 0)()
    later = size(multiprocessing.Pool())
    print(
        f"{word} minor={sys.version_info.minor} cpu_count={os.cpu_count()} sched_getaffinity={len(mask())}"
        f" process_cpu_count={process_cpu_count} pool={pool} executor={executor} later={later}",
        flush=True,
    )


def size(pool):
    with pool:
        return len(pool._pool)


# Before it says that it has started: from then on a processor may join.
began = mask()
with multiprocessing.Pool() as pool, concurrent.futures.ThreadPoolExecutor() as executor:
    say("start", len(pool._pool), executor._max_workers)
    while mask() == began:
        time.sleep(0.01)
    say("joined", len(pool._pool), executor._max_workers)
