#!/usr/bin/env python3
"""An agent in Python with asyncio: agrees to every processor except those of --refuse.

    agent-asyncio.py NAME [--refuse LIST]

NAME is the name of a running partition: `hotadd run --name NAME ...`. The agent needs dbus-fast (`pip install dbus-fast`). The
package in python/ has an agent with less to write.
"""

import argparse
import asyncio
import os
import sys

from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

# The interfaces, which dbus/ describes in full.
PARTITION, PARTITION_PATH = "org.hotadd.Partition1", "/org/hotadd/Partition"
AGENT, OURS = "org.hotadd.Agent1", "/example/Agent"
REMOVAL = 2  # flag of Register: notify the agent of removals too
# STATUS_INSUFFICIENT_RESOURCES: an error's name may carry the status of a veto.
REFUSE = "org.hotadd.Error.Status.xC000009A"


def socket_of(name):
    """The partition's socket, if only root and this user can have put it there."""
    folder = os.path.join(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}", "hotadd")
    path = next((p for p in (f"{folder}/{name}", f"/run/hotadd/{name}") if os.path.exists(p)), None)
    if path is None:
        sys.exit(f"agent-asyncio.py: there is no partition {name}")
    ours, above = (0, os.geteuid()), os.lstat(os.path.dirname(path))
    if above.st_uid not in ours or above.st_mode & 0o022 or os.lstat(path).st_uid not in ours:
        sys.exit(f"agent-asyncio.py: the socket {path} is not trusted: another user may have put it there")
    return path


def cpulist(text):
    """The processors of a list such as 1,4-6."""
    ranges = (part.partition("-")[::2] for part in text.split(","))
    return {n for first, last in ranges for n in range(int(first), int(last or first) + 1)}


class Agent:
    def __init__(self, bus, refuse):
        self.bus, self.refuse, self.blocks = bus, refuse, {}

    def called(self, message):
        """Takes the calls of the partition, which is the only other peer of this connection."""
        if message.message_type is not MessageType.METHOD_CALL or message.interface != AGENT:
            return None
        asyncio.ensure_future(self.answer(message))
        return True

    async def answer(self, message):
        method = message.member
        if method == "Deregistered":  # it did not answer in time; no reply is expected
            print(f"deregistered: {message.body[2]}", flush=True)
            return
        _party, (_index, _group, _number, cpu), epoch, _details = message.body
        if method == "AddStart":
            if cpu in self.refuse:
                print(f"{method} {cpu}: refused", flush=True)
                await self.bus.send(Message.new_error(message, REFUSE, f"there is no room for processor {cpu}"))
                return
            self.blocks[cpu] = bytearray(4096)  # what the agent prepares; it may await here, for up to 5 s
        elif method in ("AddFailure", "RemoveComplete"):
            self.blocks.pop(cpu, None)
        print(f"{method} {cpu} at epoch {epoch}", flush=True)
        await self.bus.send(Message.new_method_return(message))


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--refuse", type=cpulist, default=set(), metavar="LIST")
    args = parser.parse_args()

    bus = await MessageBus(f"unix:path={socket_of(args.name)}").connect()
    # The partition calls the agent during Register, so the agent comes first.
    bus.add_message_handler(Agent(bus, args.refuse).called)
    register = Message(
        path=PARTITION_PATH, interface=PARTITION, member="Register",
        signature="osuiu", body=[OURS, "agent-asyncio.py", REMOVAL, 0, 0],
    )
    reply = await bus.call(register)
    if reply.message_type is MessageType.ERROR:
        sys.exit(f"not registered: {reply.body[0]}")
    party, epoch = reply.body
    print(f"registered as party {party} at epoch {epoch}", flush=True)
    await bus.wait_for_disconnect()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (KeyboardInterrupt, EOFError):  # Ctrl-C; the partition has ended
        pass
