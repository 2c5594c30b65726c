// What node sees when it starts, and once its mask has grown.
const fs = require('fs');
const os = require('os');

const mask = () => /Cpus_allowed_list:\t(.*)/.exec(fs.readFileSync('/proc/self/status'))[1];
const parallel = os.availableParallelism ?? (() => 0);
const say = word => console.log(`${word} availableParallelism=${parallel()} cpus=${os.cpus().length}`);

// Before it says that it has started: from then on a processor may join.
const began = mask();
say('start');
const look = setInterval(() => {
  if (mask() === began) return;
  clearInterval(look);
  say('joined');
}, 10);
