"""Uses the whole package hotadd on the partition NAME with processor 0 active and 1, 2 and 3 to add: uses_package.py NAME"""
import asyncio
import os
import select
import sys
import threading

import hotadd

NAME = sys.argv[1]


def page_follows_the_partition():
    partition = hotadd.Partition(NAME)
    with hotadd.SetPage(NAME) as page:
        first = page.active()
        assert (page.count, page.ids, len(first), first.processors) == (1, (0,), 1, {0: 0}), first
        assert not page.has_ended
        assert not page.wait(page.epoch, timeout=0), "nothing has changed"
        descriptor = page.fileno()
        assert not select.select([descriptor], [], [], 0)[0]
        adding = threading.Thread(target=partition.add, args=(3,))
        adding.start()
        assert page.wait(first.epoch, timeout=20)
        adding.join()
        assert page.active().ids == (0, 3) and page.epoch == first.epoch + 1
        assert select.select([descriptor], [], [], 20)[0] == [descriptor]
        page.acknowledge()
        assert not select.select([descriptor], [], [], 0)[0]
        mask = os.sched_getaffinity(0)
        assert hotadd.parallelism(page) == max(1, len(mask & {0, 3}))
        assert 1 <= hotadd.parallelism() <= len(mask)
        partition.remove(3)
    try:
        page.count
    except hotadd.PageError as error:
        assert "closed" in str(error)
    else:
        raise AssertionError("a closed page is not read")


def a_page_that_is_not_there_is_named():
    for missing in ("no-such-partition", "/no/such/page.set"):
        try:
            hotadd.SetPage(missing)
        except hotadd.PageError as error:
            assert missing in str(error), error
        else:
            raise AssertionError("there is no such page")


class Pool(hotadd.Agent):
    def __init__(self):
        self.heard = []

    async def add_start(self, processor, details):
        self.heard.append(("add_start", processor.id, details.replay))
        if processor.id == 1:
            raise hotadd.Veto("no memory", 0xC0000017)
        if processor.id == 3:
            raise ZeroDivisionError("a mistake")

    async def add_complete(self, processor, details):
        self.heard.append(("add_complete", processor.id, details.replay))

    async def remove_complete(self, processor, details):
        self.heard.append(("remove_complete", processor.id, details.surprise))


async def refused(partition, id):
    """The error with which a processor is not added."""
    try:
        await asyncio.to_thread(partition.add, id)
    except hotadd.PartitionError as error:
        return error
    raise AssertionError(f"processor {id} joined")


async def an_agent_is_asked_and_told():
    partition = hotadd.Partition(NAME, timeout=20)
    with hotadd.SetPage(NAME) as page:
        changes = page.changes()
        assert (await anext(changes)).ids == (0,)
        pool = Pool()
        async with pool.register(NAME, level=3) as registration:
            (party,) = partition.parties()
            assert (party.id, party.name, party.level, party.is_remote) == (registration.party, "Pool", 3, True)

            answer = await asyncio.to_thread(partition.rehearse, 1)
            assert not answer.agreed and answer.answers[0].reason == "no memory", answer
            error = await refused(partition, 1)
            assert (error.kind, error.party, error.status, error.id) == ("Vetoed", "Pool", 0xC0000017, 1), error
            assert "Pool refused to add processor 1: no memory" in str(error), error

            joined = await asyncio.to_thread(partition.add, 2)
            assert (joined.processor.id, joined.epoch) == (2, page.epoch)
            assert (await asyncio.wait_for(anext(changes), 20)).ids == (0, 2)
            status = await asyncio.to_thread(partition.status)
            assert (status.name, status.hardware, status.ids, status.maximum) == ("demo", "simulated", (0, 2), 4), status
            assert [(out.id, out.party, out.reason) for out in status.absent] == [(1, "Pool", "no memory")], status
            assert partition.candidates() == (1, 3)
            await asyncio.to_thread(partition.remove, 2)
            assert ("remove_complete", 2, False) in pool.heard
            assert pool.heard[:2] == [("add_start", 0, True), ("add_complete", 0, True)], pool.heard
        assert partition.parties() == (), "leaving the block deregisters"

        # An exception other than Veto is a crash (L3).
        async with pool.register(NAME) as registration:
            error = await refused(partition, 3)
            assert "ZeroDivisionError: a mistake" in str(error), error
            try:
                await registration.ended()
            except ZeroDivisionError:
                pass
            else:
                raise AssertionError("the mistake is reported")
        await changes.aclose()


async def a_refused_registration_says_why():
    class Never(hotadd.Agent):
        async def add_start(self, processor, details):
            raise hotadd.Veto("never")

    try:
        async with Never().register(NAME):
            raise AssertionError("it refused an active processor")
    except hotadd.PartitionError as error:
        assert error.kind == "NotJoining" and "never" in str(error), error


page_follows_the_partition()
a_page_that_is_not_there_is_named()
asyncio.run(an_agent_is_asked_and_told())
asyncio.run(a_refused_registration_says_why())
print("done")
