"""`Partition`: requests to a partition over its socket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jeepney.io.blocking import open_dbus_connection

from . import _wire
from ._errors import PartitionError, lost
from ._wire import Processor


@dataclass(frozen=True)
class Change:
    """A processor that has joined or left, and the epoch of the set from then on."""

    processor: Processor
    epoch: int


@dataclass(frozen=True)
class Answer:
    """What a party answered in a rehearsal, and how long it took."""

    party: str
    level: int
    agreed: bool
    status: int
    reason: str
    seconds: float


@dataclass(frozen=True)
class Rehearsal:
    """The answers of all parties to the question whether a processor could be added."""

    processor: Processor
    answers: tuple[Answer, ...]

    @property
    def agreed(self) -> bool:
        """Whether every party agreed."""
        return all(answer.agreed for answer in self.answers)


@dataclass(frozen=True)
class Party:
    """A registered party: its number, its name, its level, and whether it is in another process than the partition."""

    id: int
    name: str
    level: int
    is_remote: bool


@dataclass(frozen=True)
class Waiting:
    """A party that is being waited for: about what, about which processor, and for how long."""

    party: str
    state: str
    id: int
    seconds: float


@dataclass(frozen=True)
class Absent:
    """Why a processor is out: the party that refused it (empty if it was the platform), and the reason. `time` is in seconds since
    1970."""

    id: int
    party: str
    status: int
    errno: int
    clause: str
    reason: str
    time: float


@dataclass(frozen=True)
class Status:
    """The state of a partition. The parts are read one after another, so a change may come between them."""

    name: str
    hardware: str
    epoch: int
    maximum: int
    ids: tuple[int, ...]
    """The hardware ids of the active processors, ascending."""
    parties: tuple[Party, ...]
    waiting: tuple[Waiting, ...]
    absent: tuple[Absent, ...]


class Partition:
    """A partition of another process, by its name or the path of its socket (with a slash).

    Each request has a connection of its own, so the object may be used from several threads and needs no closing. Every method
    raises `PartitionError` if the partition refuses, of the kind `Disconnected` if it cannot be reached or ends meanwhile; and
    TimeoutError if a query has no answer in `timeout` seconds. Requests that ask parties take as long as these may take.

    Raises FileNotFoundError if there is no such partition, and PermissionError if it is not trusted.
    """

    def __init__(self, name: str = "system", timeout: float = 5.0) -> None:
        self._address, self._timeout = _wire.address_of(name), timeout

    def _call(self, method: str, signature: str | None = None, *arguments: Any, timeout: float | None = None, **of: str) -> Any:
        message = _wire.call(method, signature, *arguments, **of)
        try:
            # A connection that is kept gets signals. A partition disconnects a client that does not read them.
            with open_dbus_connection(self._address) as connection:
                reply = connection.send_and_get_reply(message, timeout=timeout)
        except TimeoutError:
            raise TimeoutError(f"the partition did not answer {method} in {timeout} s") from None
        except (OSError, EOFError) as error:
            raise lost(error) from error
        return _wire.result(reply)

    def _ask(self, method: str, signature: str | None = None, *arguments: Any, **of: str) -> Any:
        return self._call(method, signature, *arguments, timeout=self._timeout, **of)

    def add(self, id: int) -> Change:
        """Adds a processor by its hardware id. All parties are asked (A1). Raises `PartitionError` with `kind` `Vetoed`, and the
        party, if one refuses."""
        processor, epoch = self._call("Add", "u", id)
        return Change(Processor(*processor), epoch)

    def remove(self, id: int) -> Change:
        """Removes a processor. The parties that want removal notices are asked (X1)."""
        processor, epoch = self._call("Remove", "u", id)
        return Change(Processor(*processor), epoch)

    def rehearse(self, id: int) -> Rehearsal:
        """Asks all parties whether a processor could be added, and adds nothing (A10)."""
        processor, answers = self._call("Rehearse", "u", id)
        rows = (
            Answer(name, level, agreed, status, reason, micros / 1e6)
            for _id, name, level, agreed, status, reason, micros in answers
        )
        return Rehearsal(Processor(*processor), tuple(rows))

    def candidates(self) -> tuple[int, ...]:
        """The hardware ids of the processors that could be added now. May wait for a change in progress."""
        return tuple(self._call("GetCandidates")[0])

    def parties(self) -> tuple[Party, ...]:
        """The registered parties in calling order."""
        return tuple(Party(*row) for row in self._ask("GetParties")[0])

    def status(self) -> Status:
        """The state of the partition."""
        (properties,) = self._ask("GetAll", "s", _wire.PARTITION, interface="org.freedesktop.DBus.Properties")
        epoch, maximum, known, _proposed = self._ask("GetSet")
        waiting = (Waiting(party, state, id, micros / 1e6) for party, state, id, micros in self._ask("GetWaiting")[0])
        return Status(
            name=properties["Name"][1],
            hardware=properties["Hardware"][1],
            epoch=epoch,
            maximum=maximum,
            ids=tuple(sorted(id for id, standing in known if standing)),
            parties=self.parties(),
            waiting=tuple(waiting),
            absent=tuple(self._absent()),
        )

    def _absent(self) -> list[Absent]:
        """All pages of the list. It has at most 2,048 entries; a partition that sends more breaks its protocol."""
        found: list[Absent] = []
        first = 0
        while rows := self._ask("GetAbsent", "u", first)[0]:
            for id, party, status, errno, clause, reason, millis in rows:
                found.append(Absent(id, party, status, errno, clause, reason, millis / 1000))
            first = rows[-1][0] + 1
            if first > 0xFFFFFFFF:
                break
            if len(found) > 4096:
                raise PartitionError("Protocol", "the partition reports more processors than can be out")
        return found
