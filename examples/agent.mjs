#!/usr/bin/env node
// An agent in JavaScript: agrees to every processor except those of --refuse.
//
//     agent.mjs NAME [--refuse LIST]
//
// NAME is the name of a running partition: `hotadd run --name NAME ...`. The agent needs dbus-next (`npm install dbus-next`).

import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import dbus from "dbus-next";

const { Message, MessageType } = dbus;

// The interfaces, which dbus/ describes in full.
const PARTITION = "org.hotadd.Partition1", PARTITION_PATH = "/org/hotadd/Partition";
const AGENT = "org.hotadd.Agent1", OURS = "/example/Agent";
const REMOVAL = 2; // flag of Register: notify the agent of removals too
// STATUS_INSUFFICIENT_RESOURCES: an error's name may carry the status of a veto.
const REFUSE = "org.hotadd.Error.Status.xC000009A";

function fail(why) {
  console.error(`agent.mjs: ${why}`);
  process.exit(1);
}

// The partition's socket, if only root and this user can have put it there.
function socketOf(name) {
  const folder = path.join(process.env.XDG_RUNTIME_DIR || `/run/user/${process.getuid()}`, "hotadd");
  const found = [`${folder}/${name}`, `/run/hotadd/${name}`].find((one) => fs.existsSync(one));
  if (!found) fail(`there is no partition ${name}`);
  const ours = [0, process.geteuid()], above = fs.lstatSync(path.dirname(found));
  if (!ours.includes(above.uid) || above.mode & 0o022 || !ours.includes(fs.lstatSync(found).uid)) {
    fail(`the socket ${found} is not trusted: another user may have put it there`);
  }
  return found;
}

// The processors of a list such as 1,4-6.
function cpulist(text) {
  const ids = new Set();
  for (const part of text.split(",")) {
    const [first, last = first] = part.split("-").map(Number);
    for (let id = first; id <= last; id++) ids.add(id);
  }
  return ids;
}

const [name, option, list] = process.argv.slice(2);
if (!name || (option && (option !== "--refuse" || !list))) fail("usage: agent.mjs NAME [--refuse LIST]");
const refuse = cpulist(list || "");
const blocks = new Map();

const bus = dbus.sessionBus({ busAddress: `unix:path=${socketOf(name)}` });
bus.on("error", (error) => fail(error.message));

// Takes the calls of the partition, which is the only other peer of this connection.
bus.addMethodHandler((call) => {
  if (call.interface !== AGENT) return false;
  if (call.member === "Deregistered") { // it did not answer in time; no reply is expected
    console.log(`deregistered: ${call.body[2]}`);
    return true;
  }
  const [, [, , , cpu], epoch] = call.body;
  if (call.member === "AddStart") {
    if (refuse.has(cpu)) {
      console.log(`${call.member} ${cpu}: refused`);
      bus.send(Message.newError(call, REFUSE, `there is no room for processor ${cpu}`));
      return true;
    }
    blocks.set(cpu, Buffer.alloc(4096)); // what the agent prepares; it may answer later, for up to 5 s
  } else if (call.member === "AddFailure" || call.member === "RemoveComplete") {
    blocks.delete(cpu);
  }
  console.log(`${call.member} ${cpu} at epoch ${epoch}`);
  bus.send(Message.newMethodReturn(call, "", []));
  return true;
});

// The partition calls the agent during Register, so the handler is there before. The process ends when the partition has ended.
const register = new Message({
  path: PARTITION_PATH, interface: PARTITION, member: "Register",
  signature: "osuiu", body: [OURS, "agent.mjs", REMOVAL, 0, 0],
});
try {
  const [party, epoch] = (await bus.call(register)).body;
  console.log(`registered as party ${party} at epoch ${epoch}`);
} catch (error) {
  fail(`not registered: ${error.message}`);
}
