#!/usr/bin/python3
"""A pool with as many processes as the partition has processors: follow.py PAGE (docs/runtimes.md)"""
import concurrent.futures, mmap, os, struct, sys


def work(number):
    return sum(i * i for i in range(300_000 + number))


page = mmap.mmap(os.open(sys.argv[1], os.O_RDONLY), 25216, prot=mmap.PROT_READ)
if page[:12] != b"hotadd\0\0" + struct.pack("=I", 1):
    sys.exit(f"{sys.argv[1]} is not a page of version 1")
summary, ended = memoryview(page).cast("Q")[2:3], memoryview(page).cast("I")[6:7]
pool, size = None, 0
while not ended[0] & 1:
    count = summary[0] & 0xFFFF
    if count != size:
        if pool:
            pool.shutdown(wait=False)  # it still does what it was given
        pool, size = concurrent.futures.ProcessPoolExecutor(count), count
        print("workers", size, flush=True)
    list(pool.map(work, range(2 * size)))
