#!/usr/bin/python3
"""An agent in Python: agrees to every processor except those of --refuse.

    agent.py NAME [--bus BUS] [--refuse LIST] [--level N] [--delay SECONDS]

NAME is the name of a running partition: `hotadd run --name NAME ...`. With --bus the agent looks for it on a message bus (session,
system or an address), which `hotadd run --name NAME --bus BUS ...` has joined. `agent.py system --bus system` registers with the
daemon, which has the partition of the whole machine. The agent needs no other file of hotadd, only Python with the standard D-Bus
binding (Debian, Ubuntu: python3-gi).
"""

import argparse
import os
import pathlib
import sys
import time

from gi.repository import Gio, GLib

# org.hotadd.Agent1, which dbus/org.hotadd.Agent1.xml describes in full.
CALLS = ("AddStart", "AddComplete", "AddFailure", "RemoveStart", "RemoveComplete", "RemoveFailure")


def method(name, *types):
    """A method of an interface, for the binding."""
    args = "".join(f'<arg type="{type}" direction="in"/>' for type in types)
    return f'<method name="{name}">{args}</method>'


INTERFACE = '<node><interface name="org.hotadd.Agent1">'
INTERFACE += "".join(method(name, "t", "(uqyu)", "t", "a{sv}") for name in CALLS)
INTERFACE += method("Deregistered", "t", "u", "s") + "</interface></node>"
PARTITION = "/org/hotadd/Partition"
MACHINE = "org.hotadd.Hotadd1"  # the name of the daemon on the system bus
OURS = "/example/Agent"
REMOVAL = 2  # flag of Register: notify the agent of removals too

# STATUS_INSUFFICIENT_RESOURCES: an error's name may carry the status of a veto.
REFUSE = "org.hotadd.Error.Status.xC000009A"
DENIED = "org.freedesktop.DBus.Error.AccessDenied"


def runtime_dir():
    """Where partitions listen."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base:
        return os.path.join(base, "hotadd")
    user = f"/run/user/{os.getuid()}"
    return os.path.join(user, "hotadd") if os.path.isdir(user) else f"/tmp/hotadd-{os.getuid()}"


def believed(path):
    """Whether only root and this user can have put a socket there."""
    ours = (0, os.geteuid())
    folder, found = os.lstat(os.path.dirname(path)), os.lstat(path)
    return folder.st_uid in ours and not folder.st_mode & 0o022 and found.st_uid in ours


def over_socket(name):
    """A connection to the partition's socket, if that is trusted."""
    path = os.path.join(runtime_dir(), name)
    of_the_machine = os.path.join("/run/hotadd", name)
    if not os.path.exists(path) and os.path.exists(of_the_machine):
        path = of_the_machine
    if os.path.lexists(path) and not believed(path):
        sys.exit(f"agent.py: the socket {path} is not trusted: another user may have put it there")
    try:
        return Gio.DBusConnection.new_for_address_sync(
            f"unix:path={path}", Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None
        )
    except GLib.Error as error:
        sys.exit(f"agent.py: no partition {name} can be reached at {path}: {error.message}")


def on_bus(bus, name):
    """A connection to a bus, and the unique name of the partition there."""
    flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
    kinds = {"session": Gio.BusType.SESSION, "system": Gio.BusType.SYSTEM}
    known_as = MACHINE if (bus, name) == ("system", "system") else f"org.hotadd.Partition.{name}"
    try:
        address = Gio.dbus_address_get_for_bus_sync(kinds[bus], None) if bus in kinds else bus
        connection = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
        owner = connection.call_sync(
            "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner",
            GLib.Variant("(s)", (known_as,)), GLib.VariantType("(s)"),
            Gio.DBusCallFlags.NONE, -1, None,
        )
    except GLib.Error as error:
        sys.exit(f"agent.py: no partition {name} can be reached on the bus: {error.message}")
    return connection, owner.unpack()[0]


def cpulist(text):
    """The kernel's way to write a set of processors: 0-3,8."""
    ids = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        ids.update(range(int(first), int(last or first) + 1))
    return ids


class Agent:
    def __init__(self, args, partition):
        self.partition = partition  # on a bus: the only sender that may call this agent
        self.refuse = args.refuse
        self.delay = args.delay
        self.blocks = {}
        self.registered = False

    def called(self, _connection, sender, _path, _interface, method, arguments, invocation):
        if sender != self.partition:
            invocation.return_dbus_error(DENIED, "only the partition may call its agents")
            return
        _party, (_index, _group, _number, cpu), epoch, details = arguments.unpack()
        if method == "AddStart":
            print(f"asked about {cpu}", flush=True)
            if self.registered:
                time.sleep(self.delay)  # simulates the time to prepare, except for active processors
            if cpu in self.refuse:
                print(f"{method} {cpu}: refused", flush=True)
                invocation.return_dbus_error(REFUSE, f"there is no room for processor {cpu}")
                return
            self.blocks[cpu] = bytearray(4096)
        elif method in ("AddFailure", "RemoveComplete"):
            self.blocks.pop(cpu, None)
        print(f"{method} {cpu} at epoch {epoch} {details}", flush=True)
        invocation.return_value(None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--bus")
    parser.add_argument("--refuse", type=cpulist, default=set(), metavar="LIST")
    parser.add_argument("--level", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0, metavar="SECONDS")
    args = parser.parse_args()

    partition = None
    if args.bus:
        connection, partition = on_bus(args.bus, args.name)
    else:
        connection = over_socket(args.name)

    # The partition calls the agent during Register, so the agent is exported first.
    agent = Agent(args, partition)
    description = Gio.DBusNodeInfo.new_for_xml(INTERFACE).interfaces[0]
    connection.register_object(OURS, description, agent.called, None, None)

    loop = GLib.MainLoop()

    def registered(connection, result):
        try:
            party, epoch = connection.call_finish(result).unpack()
        except GLib.Error as error:
            print(f"not registered: {error.message}", file=sys.stderr)
            loop.quit()
            return
        agent.registered = True
        print(f"registered as party {party} at epoch {epoch}", flush=True)

    register = GLib.Variant("(osuiu)", (OURS, "agent.py", REMOVAL, args.level, 0))
    connection.call(
        partition, PARTITION, "org.hotadd.Partition1", "Register", register,
        GLib.VariantType("(tt)"), Gio.DBusCallFlags.NONE, -1, None, registered,
    )
    connection.connect("closed", lambda *_: loop.quit())
    if partition:
        # The partition has ended when its name disappears from the bus.
        gone = lambda *_: loop.quit()
        Gio.bus_watch_name_on_connection(connection, partition, Gio.BusNameWatcherFlags.NONE, None, gone)
    loop.run()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
