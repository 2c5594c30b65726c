"""`SetPage`: the active set of a partition in shared memory. docs/page.md of hotadd describes the layout."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import platform
import struct
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from ._errors import PageError
from ._places import find

_LENGTH, _MOST = 25216, 2048
_SUMMARY, _WAIT, _SEQUENCE, _KNOWN, _PROPOSED = 16, 24, 64, 72, 76
_ACTIVE, _AGREED, _IDS, _PROPOSALS = 128, 384, 640, 8832

_F_OFD_GETLK = 36
_LOCK = "hhqqi4x"  # struct flock
_FUTEX_WAIT, _FUTEX_WAKE = 0, 1
# The number of the system call futex.
_FUTEX = {"x86_64": 202, "aarch64": 98}

# A partition writes a change in microseconds. After this time it is stopped, or was killed in the middle of a change.
_PATIENCE = 1.0

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


@dataclass(frozen=True)
class ActiveSet:
    """The active set at one moment."""

    epoch: int
    """Grows with each change of the set (Q2)."""
    processors: dict[int, int]
    """The hardware id of each active processor, by its index. On Linux, the hardware id is the N of cpuN."""
    agreed: frozenset[int]
    """The indexes of the active processors to which every party agreed (Q3)."""
    proposed: dict[int, int]
    """The processors that are being added, in the same form as `processors`."""

    @property
    def ids(self) -> tuple[int, ...]:
        """The hardware ids of the active processors, ascending."""
        return tuple(sorted(self.processors.values()))

    def __len__(self) -> int:
        return len(self.processors)


class SetPage:
    """The page of a partition, mapped. May be used from several threads.

    `name` is the name of a partition, or the path of a page (with a slash). Raises `PageError` if there is no page, or if it does
    not belong to root or this user: the owner of a file can end the processes that map it, by truncating it.
    """

    def __init__(self, name: str = "system") -> None:
        self._address: int | None = None
        if platform.machine() not in _FUTEX or sys.maxsize < 2**32:
            raise PageError(f"pages can be read on {', '.join(_FUTEX)}, and not on {platform.machine()}")
        try:
            self.path = find(name, ".set")
            self._file = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise PageError(f"the page of {name} cannot be opened: {error}") from error
        self._lock = threading.Lock()
        self._event: int | None = None
        self._thread: threading.Thread | None = None
        try:
            found, head = os.fstat(self._file), os.pread(self._file, 12, 0)
            if found.st_uid not in (0, os.geteuid()):
                raise PageError(f"the page {self.path} is not trusted: it belongs to user {found.st_uid}")
            if found.st_size < _LENGTH or head != b"hotadd\0\0" + struct.pack("=I", 1):
                raise PageError(f"{self.path} is not a page of version 1")
            address = _libc.mmap(None, _LENGTH, 1, 1, self._file, 0)  # PROT_READ, MAP_SHARED
            if address in (None, ctypes.c_void_p(-1).value):
                raise PageError(f"the page {self.path} cannot be mapped: {os.strerror(ctypes.get_errno())}")
        except BaseException:
            os.close(self._file)
            raise
        self._address = address

    def close(self) -> None:
        """Unmaps the page. A thread that waits in `wait` meanwhile is not interrupted: it must return first."""
        with self._lock:
            address, self._address = self._address, None
            thread, event = self._thread, self._event
        if address is None:
            return
        if thread is not None and event is not None:
            while thread.is_alive():  # it may be about to sleep: wake it again
                futex = _FUTEX[platform.machine()]
                _libc.syscall(futex, ctypes.c_void_p(address + _WAIT), _FUTEX_WAKE, _MOST, None, None, 0)
                thread.join(0.01)
            os.close(event)
        _libc.munmap(address, _LENGTH)
        os.close(self._file)

    def __enter__(self) -> SetPage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._address is not None and self._thread is None:
            self.close()

    def _base(self) -> int:
        if self._address is None:
            raise PageError("the page is closed")
        return self._address

    def _word(self, at: int) -> int:
        return int(ctypes.c_uint32.from_address(self._base() + at).value)

    def _summary(self) -> int:
        return int(ctypes.c_uint64.from_address(self._base() + _SUMMARY).value)

    @property
    def count(self) -> int:
        """The number of active processors."""
        return self._summary() & 0xFFFF

    @property
    def epoch(self) -> int:
        """The epoch of the set."""
        return self._summary() >> 16

    @property
    def ids(self) -> tuple[int, ...]:
        """The hardware ids of the active processors, ascending."""
        return self.active().ids

    def active(self) -> ActiveSet:
        """A copy of the set, which was in force at one moment (Q1).

        Raises `PageError` if the partition was stopped or killed in the middle of a change.
        """
        began = time.monotonic()
        while True:
            copy = self._copy()
            if copy is not None:
                return _decode(copy)
            if time.monotonic() - began > _PATIENCE:
                raise PageError(f"the partition of {self.path} was stopped or killed in the middle of a change")

    def _copy(self) -> bytes | None:
        """A whole copy; None if it changed meanwhile."""
        base = self._base()
        before = self._word(_SEQUENCE)
        if before % 2:
            return None
        copy = ctypes.string_at(base, _LENGTH)
        if self._word(_SEQUENCE) != before:
            return None
        # x86-64 makes loads in order. Python has no fence for others: there the copy must be found a second time.
        if platform.machine() != "x86_64" and ctypes.string_at(base, _LENGTH) != copy:
            return None
        return copy

    @property
    def has_ended(self) -> bool:
        """Whether the partition has ended, in order or killed. Then the page keeps the last set, and a new partition has a new
        page."""
        if self._word(_WAIT) & 1:
            return True
        # A partition holds a write lock on its page for as long as it lives.
        lock = struct.pack(_LOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
        self._base()
        found: int = struct.unpack(_LOCK, fcntl.fcntl(self._file, _F_OFD_GETLK, lock))[0]
        return found == fcntl.F_UNLCK

    def wait(self, epoch: int, timeout: float | None = None) -> bool:
        """Waits until the set has another epoch than this one, or the partition has ended. Returns False after `timeout` seconds.

        Other threads run meanwhile.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            seen = self._word(_WAIT)
            if self.epoch != epoch or self.has_ended:
                return True
            left = 1.0 if end is None else min(1.0, end - time.monotonic())
            if left <= 0:
                return False
            self._sleep(seen, left)

    def _sleep(self, seen: int, seconds: float) -> None:
        """Sleeps until the word changes from what was seen, a wake-up without a change, or the end of the time, which is at most a
        second: a partition that was killed wakes nobody."""
        whole = int(seconds)
        limit = (ctypes.c_long * 2)(whole, int((seconds - whole) * 1e9))
        address = ctypes.c_void_p(self._base() + _WAIT)
        _libc.syscall(_FUTEX[platform.machine()], address, _FUTEX_WAIT, ctypes.c_uint32(seen), limit, None, 0)

    def fileno(self) -> int:
        """A descriptor that is readable after a change of the set, and after the end of the partition. `acknowledge` makes it
        unreadable until the next change. It belongs to this object. The first call starts a thread that waits."""
        with self._lock:
            self._base()
            if self._event is None:
                self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
                self._thread = threading.Thread(
                    target=self._watch, args=(self._event, self.epoch), name="hotadd-page", daemon=True
                )
                self._thread.start()
            return self._event

    def acknowledge(self) -> None:
        """Makes the descriptor unreadable. Call this before `active`, so that no change is missed."""
        try:
            os.eventfd_read(self.fileno())
        except BlockingIOError:
            pass

    def _watch(self, event: int, epoch: int) -> None:
        while True:
            try:
                changed = self.wait(epoch, 0.9)
                ended, epoch = self.has_ended, self.epoch
            except PageError:  # it was closed, which waits for this thread
                return
            if changed:
                os.eventfd_write(event, 1)
            if ended:
                return

    async def changes(self) -> AsyncIterator[ActiveSet]:
        """The set now and after each change, until the partition has ended. Changes that follow each other quickly come as one.
        Only one task may iterate at a time."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        descriptor, last = self.fileno(), None

        def readable() -> None:
            self.acknowledge()
            changed.set()

        loop.add_reader(descriptor, readable)
        try:
            while True:
                changed.clear()
                ended, now = self.has_ended, self.active()
                if now.epoch != last:
                    last = now.epoch
                    yield now
                elif ended:
                    return
                else:
                    await changed.wait()
        finally:
            loop.remove_reader(descriptor)


def _decode(copy: bytes) -> ActiveSet:
    def bits(at: int) -> list[int]:
        number = int.from_bytes(copy[at : at + 256], sys.byteorder)
        return [index for index in range(number.bit_length()) if number >> index & 1]

    (summary,) = struct.unpack_from("=Q", copy, _SUMMARY)
    known, proposed = struct.unpack_from("=II", copy, _KNOWN)
    ids = struct.unpack_from(f"={_MOST}I", copy, _IDS)
    pairs = struct.iter_unpack("=II", copy[_PROPOSALS : _PROPOSALS + 8 * min(proposed, _MOST)])
    return ActiveSet(
        epoch=summary >> 16,
        processors={index: ids[index] for index in bits(_ACTIVE) if index < known},
        agreed=frozenset(bits(_AGREED)),
        proposed={index: id for index, id in pairs},
    )
