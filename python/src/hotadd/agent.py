"""`Agent`: a party of a partition, in asyncio. It is asked before a processor joins, and may refuse."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from jeepney import HeaderFields, MatchRule, Message, MessageFlag, MessageType, new_error, new_method_return
from jeepney.io.asyncio import DBusConnection, DBusRouter, open_dbus_connection

from . import _errors, _wire
from ._errors import PartitionError, Veto
from ._wire import Processor

_REMOVAL, _LATER_ONLY, _CONCURRENT = 2, 1, 8
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Details:
    """The circumstances of a call: the epoch in force; whether it concerns a processor that was active before the agent registered
    (Q5); whether the processor left without a remove (X2); why it did not join or leave, as an NTSTATUS and an errno."""

    epoch: int
    replay: bool = False
    surprise: bool = False
    status: int = 0
    errno: int = 0


class Agent:
    """A party. Derive from it, override what you need, and register it.

    The partition waits for each method, for at most `time_limit` seconds; its default is 5 s. One call comes at a time. An agent
    that takes longer, or whose method raises anything but `Veto`, counts as crashed (L3): the change is refused in its name, it is
    deregistered, and `Registration.ended` raises the exception.
    """

    async def add_start(self, processor: Processor, details: Details) -> None:
        """A processor is about to join: prepare for it, or raise `Veto`."""

    async def add_complete(self, processor: Processor, details: Details) -> None:
        """It has joined."""

    async def add_failure(self, processor: Processor, details: Details) -> None:
        """It did not join, although this agent had agreed: undo what `add_start` did."""

    async def remove_start(self, processor: Processor, details: Details) -> None:
        """A processor is about to be stopped: leave it, or raise `Veto`."""

    async def remove_complete(self, processor: Processor, details: Details) -> None:
        """It has left."""

    async def remove_failure(self, processor: Processor, details: Details) -> None:
        """It stays, although this agent had agreed to its removal."""

    def register(
        self,
        partition: str = "system",
        *,
        name: str | None = None,
        level: int = 0,
        time_limit: float = 0.0,
        removal: bool = True,
        later_only: bool = False,
        concurrent: bool = False,
    ) -> Registration:
        """Registers the agent: `async with agent.register("demo") as registration`.

        The methods are first called for all active processors (R3), unless `later_only`. `name` is shown to users; by default it is
        the class's name. Parties of lower levels are asked first. `time_limit` is in seconds; 0 is the partition's default.
        `removal`: the agent is told of removals, too. `concurrent`: requests over this connection come from other tasks than the
        agent's methods (D3). Entering raises `PartitionError`; of the kind `NotJoining` if the agent refuses an active processor.
        """
        flags = removal * _REMOVAL | later_only * _LATER_ONLY | concurrent * _CONCURRENT
        terms = (name or type(self).__name__, flags, level, round(time_limit * 1000))
        return Registration(self, partition, terms)


_METHODS: dict[str, Callable[[Agent, Processor, Details], Awaitable[None]]] = {
    "AddStart": lambda agent, *of: agent.add_start(*of),
    "AddComplete": lambda agent, *of: agent.add_complete(*of),
    "AddFailure": lambda agent, *of: agent.add_failure(*of),
    "RemoveStart": lambda agent, *of: agent.remove_start(*of),
    "RemoveComplete": lambda agent, *of: agent.remove_complete(*of),
    "RemoveFailure": lambda agent, *of: agent.remove_failure(*of),
}


class Registration:
    """A registration of an agent, on a connection of its own. Leaving the `async with` block deregisters the agent."""

    party: int
    """The number of the party."""
    epoch: int
    """The epoch of the set when the agent was registered."""

    def __init__(self, agent: Agent, partition: str, terms: tuple[str, int, int, int]) -> None:
        self._agent, self._partition, self._terms = agent, partition, terms
        self._path = f"/org/hotadd/python/Agent{next(_numbers)}"
        # The partition has at most one unanswered call of an agent, and a last one when it deregisters it.
        self._calls: asyncio.Queue[Message] = asyncio.Queue()

    async def __aenter__(self) -> Registration:
        try:
            self._connection: DBusConnection = await open_dbus_connection(_wire.address_of(self._partition))
        except EOFError as error:
            raise _errors.lost(error) from error
        self._router = DBusRouter(self._connection)
        rule = MatchRule(type="method_call", interface=_wire.AGENT, path=self._path)
        self._filter = self._router.filter(rule, queue=self._calls)
        self._filter.__enter__()
        self._serving = asyncio.create_task(self._serve(), name="hotadd-agent")
        self._receiving = self._router._rcv_task
        self._receiving.add_done_callback(lambda _: self._serving.cancel())
        try:
            self.party, self.epoch = await self._request("Register", "osuiu", self._path, *self._terms)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._serving.done() and not self._receiving.done():
            try:
                await self._request("Deregister", "t", self.party)
            except PartitionError:  # it was deregistered, or the partition has ended
                pass
        await self._close()

    async def ended(self) -> None:
        """Waits until the agent is no longer registered. Raises the exception of a method that failed, or else `PartitionError`:
        of the kind `Disconnected` if the partition has ended, `Deregistered` if it deregistered the agent."""
        try:
            await asyncio.shield(self._serving)
        except asyncio.CancelledError:
            if not self._serving.cancelled():
                raise  # the caller is cancelled
            raise _errors.lost() from None

    async def _request(self, method: str, signature: str, *arguments: Any) -> tuple[Any, ...]:
        reply = asyncio.ensure_future(self._router.send_and_get_reply(_wire.call(method, signature, *arguments)))
        # An agent that fails while it is registered gets an answer, too. A lost connection gives none.
        await asyncio.wait({reply, self._receiving}, return_when=asyncio.FIRST_COMPLETED)
        if not reply.done() or reply.cancelled() or isinstance(reply.exception(), (OSError, EOFError)):
            reply.cancel()
            raise _errors.lost()
        return _wire.result(reply.result())

    async def _close(self) -> None:
        self._serving.cancel()
        await asyncio.wait({self._serving})
        self._filter.__exit__(None, None, None)
        try:
            await self._router.__aexit__(None, None, None)
        except (OSError, EOFError):
            pass
        await self._connection.close()

    async def _serve(self) -> None:
        while True:
            call = await self._calls.get()
            method = call.header.fields.get(HeaderFields.member)
            if method == "Deregistered":
                _party, status, reason = call.body
                raise PartitionError("Deregistered", f"the partition deregistered the agent: {reason}", status)
            try:
                reply = await self._answer(call, method)
            except Exception as error:
                why = (f"it raised {type(error).__name__}: {error}",)
                await self._router.send(_error(call, "Crashed", _errors.DRIVER_INTERNAL_ERROR, why))
                raise
            if not call.header.flags & MessageFlag.no_reply_expected:
                await self._router.send(reply)

    async def _answer(self, call: Message, method: str | None) -> Message:
        handler = _METHODS.get(method or "")
        if handler is None:
            return new_error(call, "org.freedesktop.DBus.Error.UnknownMethod", "s", (f"there is no method {method}",))
        _party, processor, epoch, more = call.body
        known = {name: value for name, (_, value) in more.items() if name in Details.__dataclass_fields__}
        try:
            await handler(self._agent, Processor(*processor), Details(epoch=epoch, **known))
        except Veto as veto:
            return _error(call, "Status", veto.status, (veto.reason,))
        return new_method_return(call)


def _error(call: Message, kind: str, status: int, body: tuple[str]) -> Message:
    return new_error(call, f"{_errors.ERROR}{kind}.x{status:08X}", "s", body)
