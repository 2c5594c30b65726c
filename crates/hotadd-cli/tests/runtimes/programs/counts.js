// What node sees when it starts, and once its mask has grown.
const fs = require('fs');
const os = require('os');

const mask = () => /Cpus_allowed_list:\t(.*)/.exec(fs.readFileSync('/proc/self/status'))[1];
const threads = () => fs.readdirSync('/proc/self/task').length;
const parallel = os.availableParallelism ?? (() => 0);
const say = (word, pool) =>
  console.log(`${word} availableParallelism=${parallel()} cpus=${os.cpus().length} pool=${pool}`);

// Before it says that it has started: from then on a processor may join.
const began = mask();
say('start', 0);
const look = setInterval(() => {
  if (mask() === began) return;
  clearInterval(look);
  // The pool of libuv is created for the first asynchronous call: here when the processor has already joined.
  const before = threads();
  fs.stat('/', () => say('joined', threads() - before));
}, 10);
