# What CPython sees when it starts, and once its mask has grown.
import os
import time


def mask():
    return os.sched_getaffinity(0)


def say(word):
    print(f"{word} cpu_count={os.cpu_count()} sched_getaffinity={len(mask())}", flush=True)


# Before it says that it has started: from then on a processor may join.
began = mask()
say("start")
while mask() == began:
    time.sleep(0.01)
say("joined")
