#!/usr/bin/python3
"""Follows the active set of a partition by its page, without D-Bus: set.py [/run/hotadd/system.set]"""
import ctypes, fcntl, os, platform, struct, sys

PATH = sys.argv[1] if len(sys.argv) > 1 else "/run/hotadd/system.set"
LENGTH, WAIT, SEQUENCE = 25216, 24, 64
FUTEX = {"x86_64": 202, "aarch64": 98}[platform.machine()]  # the number of the system call
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
file = os.open(PATH, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
if os.fstat(file).st_uid not in (0, os.geteuid()) or os.read(file, 12) != b"hotadd\0\0" + struct.pack("=I", 1):
    sys.exit(f"{PATH} is not a page of version 1 that belongs to root or to you")
page = libc.mmap(None, LENGTH, 1, 1, file, 0)  # PROT_READ, MAP_SHARED
word = lambda at: ctypes.c_uint32.from_address(page + at).value
while True:
    seen, before = word(WAIT), word(SEQUENCE)
    copy = ctypes.string_at(page, LENGTH)
    if before % 2 or word(SEQUENCE) != before:
        continue  # it changed meanwhile
    active = int.from_bytes(copy[128:384], sys.byteorder)
    ids = [struct.unpack_from("=I", copy, 640 + 4 * index)[0] for index in range(2048) if active >> index & 1]
    print("epoch", struct.unpack_from("=Q", copy, 16)[0] >> 16, "processors", *sorted(ids), flush=True)
    while word(WAIT) == seen:  # a second at a time, to notice a partition that was killed
        libc.syscall(FUTEX, ctypes.c_void_p(page + WAIT), 0, seen, (ctypes.c_long * 2)(1, 0), None, 0)
        lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
        if struct.unpack("hhqqi4x", fcntl.fcntl(file, 36, lock))[0] == fcntl.F_UNLCK and word(WAIT) == seen:  # F_OFD_GETLK
            sys.exit("the partition was killed")
    if word(WAIT) & 1:
        sys.exit("the partition has ended")
