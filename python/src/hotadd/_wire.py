"""D-Bus messages to a partition, over its socket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from jeepney import DBusAddress, Message, MessageType, new_method_call
from jeepney.low_level import HeaderFields

from ._errors import from_reply
from ._places import find

PARTITION, AGENT = "org.hotadd.Partition1", "org.hotadd.Agent1"
PATH = "/org/hotadd/Partition"


@dataclass(frozen=True)
class Processor:
    """A processor: its index in the partition, its group of 64, its number in the group, and its hardware id (N of cpuN)."""

    index: int
    group: int
    number: int
    id: int


def address_of(name: str) -> str:
    """The D-Bus address of a partition, by its name or the path of its socket.

    Raises FileNotFoundError or PermissionError as `find`.
    """
    return "unix:path=" + quote(find(name), safe="/-_.*")


def call(method: str, signature: str | None = None, *arguments: Any, interface: str = PARTITION) -> Message:
    """A call of the partition."""
    message = new_method_call(DBusAddress(PATH, PARTITION, interface), method, signature, arguments)
    # jeepney wants a destination. On a direct connection none is needed.
    del message.header.fields[HeaderFields.destination]
    return message


def result(reply: Message) -> tuple[Any, ...]:
    """The arguments of a reply. Raises `PartitionError` if it is an error."""
    if reply.header.message_type is MessageType.error:
        raise from_reply(reply.header.fields.get(HeaderFields.error_name), reply.body)
    body: tuple[Any, ...] = reply.body
    return body
