// As many workers as the program has processors: node follow.js (docs/runtimes.md)
const os = require('node:os');
const { Worker, isMainThread, parentPort } = require('node:worker_threads');

function work() {
  for (let i = 0, sum = 0; i < 1e7; i++) sum += i;
}

if (isMainThread) {
  // JavaScript cannot map the page. But libuv counts the processors of the mask again at each call.
  const workers = [];
  const follow = () => {
    const count = os.availableParallelism();
    if (count === workers.length) return;
    while (workers.length < count) workers.push(new Worker(__filename));
    while (workers.length > count) workers.pop().postMessage('end');
    console.log('workers', workers.length);
  };
  follow();
  setInterval(follow, 100);
} else {
  let ended = false;
  parentPort.once('message', () => { ended = true; });
  const again = () => {
    if (ended) return;
    work();
    setImmediate(again);
  };
  again();
}
