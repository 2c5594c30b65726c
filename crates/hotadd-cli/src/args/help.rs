//! The texts below the options in the help of commands.

pub(super) const INSPECT_HELP: &str = "\
Exit status: 0 if the file can be loaded, 1 if not, 2 for bad usage. A driver with imports that are not \
provided can be loaded; it is stopped when it uses one of them.";

pub(super) const VERIFY_HELP: &str = "\
Each scenario has simulated processors. For a driver's file it runs in a process of its own, without \
privileges. Calls of the driver that can fail are made to fail, one after the other. A finding names the \
place in the driver: function, file and line if a .so has debug information or the .pdb lies beside a .sys, \
and module+offset otherwise. A program of exec: or a sample is registered as by `hotadd run`, with the \
rights of this user; 2,048 processors are only tried with --thorough. The option timeout=MS of SPEC goes \
before --timeout. See docs/verify.md.

Exit status: 0 if nothing is wrong, 1 if there are findings, 2 if the driver could not be verified, or for \
bad usage.";

pub(super) const DAEMON_HELP: &str = "\
A processor that is plugged in while the daemon runs is added as soon as all parties have agreed. A \
refused processor stays off until it is requested again by `hotadd add N`. The daemon needs root, except \
for simulated processors. SIGTERM and SIGINT end it and leave the processors as they are. SIGHUP makes it \
reload its configuration.

Exit status: 0 after a signal to end, 1 if the daemon could not start, 2 for bad usage or a bad \
configuration.";

pub(super) const DOCTOR_HELP: &str = "\
Answers: problem, if something brings processors online or would; cannot tell, if nothing of the kind was \
found but something could not be read or followed, such as a program named by a variable, an agent that \
obeys the hypervisor, or an initramfs in an unsupported format; clear otherwise.

Exit status: 0 for clear, 1 for problem or if a file of --shadow was not written, 3 for cannot tell, 2 for \
bad usage.";

pub(super) const WATCH_HELP: &str = "\
The keys: arrows or hjkl move, Enter shows details, Tab goes to the next partition, a adds a processor, d \
removes one, r rehearses an add, ? shows all keys, q quits. A partition that ends stays on the screen, and \
is followed again when it is back. NO_COLOR and the locale are honoured. Without a terminal, `hotadd \
history --follow` prints events.

Exit status: 0 after q, 1 if the terminal cannot be used, 2 for bad usage or without a terminal, 3 if there \
is no such partition or its socket is not trusted; 128 and the number of a signal that ended it, 130 after \
Ctrl-C. Requests that have no answer yet continue in the partition.";

pub(super) const ASK_HELP: &str = "\
Exit status: 0 on success, 1 if a processor or a party was refused, 2 for bad usage, 3 if there is no such \
partition or its socket is not trusted, because another user could have put it there; 74 if the output \
cannot be written, 130 after Ctrl-C. A closed output pipe is not an error.

A partition that does not answer within 5 s, or --timeout, is an error. Adding, removing, rehearsing and \
restarting a party wait for parties, which have time limits of their own: after a second, stderr shows \
which party is being waited for. If the command ends first, the request continues in the partition.";

pub(super) const AFTER_HELP: &str = "\
The command starts on some processors, and others join one by one while it runs. Before a processor joins, \
every driver is asked; if one refuses, the processor stays out. A processor that appears later (plugged \
in, brought online, gained by the parent cpuset) is requested in the same way until the command ends; \
--follow changes that. A program of exec: is run as PROGRAM STATE ID, such as `./ready add-start 1`, and \
agrees by exit status 0; HOTADD_REPLAY=1 in its environment means that the processor was active before the \
program was registered. See docs/scripts.md for details. No privileges are needed; with privileges, the \
command cannot leave its processors. Without a command, a built-in load spins on every active \
processor. LIST is the kernel's form: 0-3,8.

Exit status: the command's, or 128 + the signal's number if a signal killed it; on HUP, INT or TERM hotadd \
cleans up and ends with the same status. Without a command 0. 1 in place of 0 if something of --fail-on \
happened; stderr says what. 1 if the run could not begin, 2 for bad usage, 126 if the command may not be \
run, 127 if there is no such command.

Examples:
  hotadd run                                 this machine's processors join one by one, under load
  hotadd run -- make -j8                     start on one processor, gain the others while running
  hotadd run --driver sample:veto=1 --json   one driver refuses processor 1
  hotadd run --simulate 4+60,fail-start=7    simulated processors; 7 fails to start
  hotadd run --simulate 2x8x2                the processors of a machine with two packages";

pub(super) const TRACE_HELP: &str = "\
The trace has the events that the partition has kept (the latest 1,000 at most) and those that happen until \
the time is up, Ctrl-C is pressed, or the partition ends. It opens in https://ui.perfetto.dev and in \
chrome://tracing. A file is limited to 64 MiB: then it is renamed to FILE.1, in place of an earlier one, and \
a new one begins. See docs/tracing.md.

Exit status: 0 on success, 1 if something cannot be read or written, 2 for bad usage, 3 if there is no such \
partition or its socket is not trusted.";
