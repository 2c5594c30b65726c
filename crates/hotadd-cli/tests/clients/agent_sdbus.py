"""An agent with python-sdbus, which uses sd-bus: agent_sdbus.py ADDRESS. It refuses processor 1."""
import asyncio
import os
import sys

# The library opens buses by their usual variables only.
os.environ["DBUS_SESSION_BUS_ADDRESS"] = sys.argv[1]
import sdbus
from sdbus import DbusInterfaceCommonAsync, dbus_method_async, dbus_signal_async
from sdbus.exceptions import DbusFailedError

NAME, PATH, OURS = "org.hotadd.Partition.demo", "/org/hotadd/Partition", "/example/Agent"


class Refused(DbusFailedError):
    dbus_error_name = "org.hotadd.Error.Status.xC000009A"


class Agent(DbusInterfaceCommonAsync, interface_name="org.hotadd.Agent1"):
    @dbus_method_async(input_signature="t(uqyu)ta{sv}", method_name="AddStart", input_args_names=("a", "b", "c", "d"))
    async def add_start(self, party, processor, epoch, details):
        if processor[3] == 1:
            print("AddStart 1: refused", flush=True)
            raise Refused("there is no room for processor 1")

    @dbus_method_async(input_signature="t(uqyu)ta{sv}", method_name="AddComplete", input_args_names=("a", "b", "c", "d"))
    async def add_complete(self, party, processor, epoch, details):
        print("AddComplete", processor[3], "at epoch", epoch, flush=True)

    @dbus_method_async(input_signature="t(uqyu)ta{sv}", method_name="RemoveStart", input_args_names=("a", "b", "c", "d"))
    async def remove_start(self, party, processor, epoch, details):
        pass

    @dbus_method_async(input_signature="t(uqyu)ta{sv}", method_name="RemoveComplete", input_args_names=("a", "b", "c", "d"))
    async def remove_complete(self, party, processor, epoch, details):
        print("RemoveComplete", processor[3], "at epoch", epoch, flush=True)


class Partition(DbusInterfaceCommonAsync, interface_name="org.hotadd.Partition1"):
    @dbus_method_async("osuiu", "tt", method_name="Register")
    async def register(self, agent: str, name: str, flags: int, level: int, limit: int) -> tuple[int, int]:
        raise NotImplementedError

    @dbus_signal_async("(uqyu)tb", signal_name="Joined")
    def joined(self) -> tuple[tuple[int, int, int, int], int, bool]:
        raise NotImplementedError


async def main():
    sdbus.set_default_bus(sdbus.sd_bus_open_user())
    agent = Agent()
    agent.export_to_dbus(OURS)
    partition = Partition.new_proxy(NAME, PATH)

    async def signals():
        async for processor, _epoch, _agreed in partition.joined:
            print("signal Joined", processor[3], flush=True)

    listening = asyncio.create_task(signals())
    await asyncio.sleep(0)
    party, epoch = await partition.register(OURS, "agent_sdbus.py", 2, 0, 0)
    print("registered as party", party, "at epoch", epoch, flush=True)
    await listening


asyncio.run(main())
