"""Uses the package hotadd: agent_package.py NAME. Its agent refuses processor 1."""
import asyncio
import sys

import hotadd


class Pool(hotadd.Agent):
    async def add_start(self, processor, details):
        await asyncio.sleep(0)
        if processor.id == 1:
            print("AddStart 1: refused", flush=True)
            raise hotadd.Veto("there is no room for processor 1")

    async def add_complete(self, processor, details):
        print("AddComplete", processor.id, "at epoch", details.epoch, flush=True)

    async def remove_complete(self, processor, details):
        print("RemoveComplete", processor.id, "at epoch", details.epoch, flush=True)


async def main(name):
    async with Pool().register(name, name="agent_package.py") as registration:
        print("registered as party", registration.party, "at epoch", registration.epoch, flush=True)
        try:
            await registration.ended()
        except hotadd.PartitionError as error:
            assert error.kind == "Disconnected", error


asyncio.run(main(sys.argv[1]))
