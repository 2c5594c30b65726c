"""An agent with dasbus: agent_dasbus.py ADDRESS. It refuses processor 1."""
import sys

from dasbus.connection import AddressedMessageBus
from dasbus.error import DBusError, ErrorMapper, get_error_decorator
from dasbus.loop import EventLoop

NAME, PATH, OURS = "org.hotadd.Partition.demo", "/org/hotadd/Partition", "/example/Agent"
mapper = ErrorMapper()


@get_error_decorator(mapper)("org.hotadd.Error.Status.xC000009A")
class Refused(DBusError):
    pass


def method(name):
    types = ("t", "(uqyu)", "t", "a{sv}")
    return f'<method name="{name}">' + "".join(f'<arg type="{type}" direction="in"/>' for type in types) + "</method>"


CALLS = ("AddStart", "AddComplete", "AddFailure", "RemoveStart", "RemoveComplete", "RemoveFailure")


class Agent:
    __dbus_xml__ = '<node><interface name="org.hotadd.Agent1">' + "".join(map(method, CALLS)) + "</interface></node>"

    def AddStart(self, party, processor, epoch, details):
        if processor[3] == 1:
            print("AddStart 1: refused", flush=True)
            raise Refused("there is no room for processor 1")


def said(state):
    def notice(self, party, processor, epoch, details):
        print(state, processor[3], "at epoch", epoch, flush=True)

    return notice


for state in CALLS[1:]:
    setattr(Agent, state, said(state))

bus = AddressedMessageBus(sys.argv[1], error_mapper=mapper)
# By GetNameOwner and match rules, as a program would that looks for a service on a bus.
proxy = bus.get_proxy(NAME, PATH)
loop = EventLoop()
bus.publish_object(OURS, Agent())
proxy.Joined.connect(lambda processor, epoch, agreed: print("signal Joined", processor[3], flush=True))


def registered(call):
    party, epoch = call()
    print("registered as party", party, "at epoch", epoch, flush=True)


proxy.Register(OURS, "agent_dasbus.py", 2, 0, 0, callback=registered)
bus.connection.connect("closed", lambda *_: loop.quit())
bus.connection.set_exit_on_close(False)
loop.run()
