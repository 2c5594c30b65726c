"""The errors of this package, and their form in D-Bus messages."""

from __future__ import annotations

from typing import Any

INSUFFICIENT_RESOURCES = 0xC000009A
UNSUCCESSFUL = 0xC0000001
DRIVER_INTERNAL_ERROR = 0xC0000183

ERROR = "org.hotadd.Error."


class HotaddError(Exception):
    """The base of all errors of this package."""


class PageError(HotaddError):
    """A page cannot be read: it does not exist, is not trusted, or has another version."""


class PartitionError(HotaddError):
    """A partition did not do what was requested.

    `kind` is the last part of the D-Bus error's name, such as `Vetoed`, `Platform`, `NotAddable` or `AccessDenied`;
    org.hotadd.Partition1.xml lists them. It is `Disconnected` if the connection was lost. The other attributes are zero or empty
    where they do not apply. `status` is an NTSTATUS.
    """

    def __init__(self, kind: str, message: str, status: int = 0, errno: int = 0, id: int = 0, party: str = "") -> None:
        super().__init__(message)
        self.kind, self.status, self.errno, self.id, self.party = kind, status, errno, id, party


class Veto(HotaddError):
    """Raised in `Agent.add_start` or `Agent.remove_start`: refuses the change. `status` is an NTSTATUS that is an error."""

    def __init__(self, reason: str, status: int = INSUFFICIENT_RESOURCES) -> None:
        super().__init__(reason)
        if not 0x80000000 <= status <= 0xFFFFFFFF:
            raise ValueError(f"{status:#x} is not an NTSTATUS that is an error: these begin with 0x8 to 0xF")
        self.reason, self.status = reason, status


def from_reply(name: str | None, body: tuple[Any, ...]) -> PartitionError:
    """The error of an error reply."""
    kind = (name or "Failed").rsplit(".", 1)[-1]
    match body:
        case (str(message), int(status), int(errno), int(id), str(party)):
            return PartitionError(kind, message, status, errno, id, party)
        case (str(message), *_):
            return PartitionError(kind, message)
    return PartitionError(kind, f"the partition answered with the error {name}")


def lost(why: object = "") -> PartitionError:
    """The error for a connection that has ended."""
    detail = f": {why}" if str(why) else ""
    return PartitionError("Disconnected", f"the connection to the partition was lost{detail}")
