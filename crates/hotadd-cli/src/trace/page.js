// Replays a trace. Names and reasons in it come from anybody: they are only ever set as text.
"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const make = (name, text, className) => {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  };
  const draw = (name, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const PROCESSORS = 1000000000;
  const MOST_LINES = 600, MOST_ROWS = 48, MOST_SHAPES = 6000;

  // The events as tracks with slices, lines of a story, and changes of processors' states.
  const events = JSON.parse(find("trace").textContent);
  const timed = events.filter((event) => event.ph !== "M");
  const start = timed.length ? timed[0].ts : 0;
  const tracks = new Map(), lines = [], states = [];
  const track = (tid) => {
    if (!tracks.has(tid)) tracks.set(tid, { tid, name: "track " + tid, slices: [], stack: [] });
    return tracks.get(tid);
  };
  const list = (text) => String(text || "").split(",").flatMap((part) => {
    const [, first, last] = /^(\d+)(?:-(\d+))?$/.exec(part) || [];
    if (first === undefined) return [];
    const count = Math.min(Number(last === undefined ? first : last) - Number(first) + 1, 4096);
    return Array.from({ length: Math.max(count, 0) }, (_, nth) => Number(first) + nth);
  });
  const reason = (args) => {
    const known = [args.status, args.errno, args.clause].filter(Boolean).join(", ");
    return (args.reason || args.text || args.errno || "") + (known && args.reason ? " (" + known + ")" : "");
  };
  const took = (us) => us >= 1e6 ? (us / 1e6).toFixed(2) + " s" : (us / 1e3).toFixed(2) + " ms";
  const initial = new Map();
  const kinds = { joined: "active", left: "left", refused: "refused", "remove-refused": "active" };
  let began = {};
  const line = (at, weight, text, why, id) => lines.push({ at, weight, text, why, id });

  function ended(slice, here) {
    const { args, begin, end } = slice, length = took(end - begin);
    if (here.tid >= PROCESSORS) {
      const id = here.tid - PROCESSORS;
      if (slice.depth > 0) {
        states.push({ at: end, id, phase: "" });
        if (slice.name === "start" || slice.name === "stop") {
          const failed = String(args.result).endsWith("failed");
          line(end, failed ? "bad" : "plain", "platform: " + args.result + " processor " + id + ", " + length, reason(args), id);
        }
        return;
      }
      const result = String(args.result || args.unfinished || "not ended");
      const refused = result.includes("refused");
      const state = slice.name.startsWith("rehearse") ? undefined : kinds[args.result];
      states.push({ at: end, id, state: args.surprise && state ? "vanished" : state, why: refused ? (args.party || "the partition") + ": " + reason(args) : "", phase: "" });
      const unasked = args.agreed === false ? " without agreement" : "";
      line(end, refused ? "bad" : args.result === "joined" || args.result === "left" || result === "could join" ? "good" : "plain",
        slice.name.split(" ")[0] + " of processor " + id + ": " + result + unasked + ", " + length,
        refused ? (args.party ? args.party + ": " : "") + reason(args) : "", id);
      if (refused) slice.refused = true;
    } else {
      const answer = args.answer || args.unfinished || "not ended";
      slice.refused = answer === "refused";
      slice.open = !args.answer || answer === "unknown";
      line(end, slice.refused ? "bad" : slice.open ? "warn" : "plain", here.name + ": " + slice.name + ", " + answer + ", " + length, reason(args), args.processor);
    }
  }

  for (const event of events) {
    const args = event.args || {}, here = track(event.tid);
    if (event.ph === "M") {
      if (event.name === "thread_name") here.name = String(args.name);
    } else if (event.ph === "B") {
      const slice = { name: event.name || "", begin: event.ts, end: undefined, args, depth: here.stack.length };
      here.stack.push(slice);
      here.slices.push(slice);
      if (here.tid >= PROCESSORS) states.push({ at: event.ts, id: here.tid - PROCESSORS, phase: slice.name.split(" ")[0] });
    } else if (event.ph === "E") {
      const slice = here.stack.pop();
      if (!slice) continue;
      slice.end = event.ts;
      Object.assign(slice.args, args);
      ended(slice, here);
    } else if (event.ph === "i") {
      if (event.name === "trace begins") {
        if (initial.size === 0) {
          began = args;
          list(args.spare).forEach((id) => initial.set(id, "off"));
          list(args.active).forEach((id) => initial.set(id, "active"));
        }
        continue;
      }
      const bad = ["breach", "missing", "fault", "vanished", "events lost", "refused"].includes(event.name);
      here.slices.push({ name: event.name || "", begin: event.ts, end: event.ts, args, depth: 0, instant: true, refused: bad });
      const who = here.tid === 1 ? args.party : here.name;
      const what = args.processor === undefined ? "" : " processor " + args.processor;
      line(event.ts, bad ? "bad" : event.name === "present" ? "good" : "plain", (who ? who + ": " : "") + event.name + what, reason(args), args.processor);
      if (event.name === "appeared") states.push({ at: event.ts, id: args.processor, state: "off", phase: "" });
    }
  }
  const finish = timed.length ? timed[timed.length - 1].ts : 0;
  for (const here of tracks.values()) {
    while (here.stack.length) {
      const slice = here.stack.pop();
      slice.end = finish;
      ended(slice, here);
    }
  }
  lines.sort((a, b) => a.at - b.at);
  states.sort((a, b) => a.at - b.at);
  for (const { id } of states) if (id !== undefined && !initial.has(id)) initial.set(id, "off");

  // The axis: times, and where they are. Pauses are shortened unless times are to scale.
  const times = [...new Set(timed.map((event) => event.ts))];
  if (times.length < 2) times.push(start + 1);
  let places = [], toScale = false;
  function scale() {
    places = [0];
    for (let at = 1; at < times.length; at++) {
      const gap = times[at] - times[at - 1];
      places.push(places[at - 1] + (toScale ? gap : 0.5 + Math.log2(1 + gap)));
    }
  }
  const below = (sorted, value) => {
    let low = 0, high = sorted.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (sorted[middle] <= value) low = middle; else high = middle - 1;
    }
    return low;
  };
  const between = (from, to, value) => {
    const at = Math.min(below(from, value), from.length - 2);
    const part = (value - from[at]) / (from[at + 1] - from[at] || 1);
    return to[at] + Math.min(Math.max(part, 0), 1) * (to[at + 1] - to[at]);
  };
  const whole = () => places[places.length - 1];
  const share = (time) => between(times, places, time) / whole();
  const timeAt = (share) => between(places, times, share * whole());
  scale();

  // The head.
  const count = (result) => lines.filter((each) => each.text.includes(result)).length;
  const numbers = [
    ["duration", took(finish - start)], ["processors", initial.size], ["joined", count(": joined")],
    ["refused", lines.filter((each) => each.weight === "bad" && each.text.startsWith("add of")).length],
    ["calls", [...tracks.values()].filter((here) => here.tid > 1 && here.tid < PROCESSORS).reduce((sum, here) => sum + here.slices.filter((slice) => !slice.instant).length, 0)],
  ];
  if (began.hardware) numbers.push(["hardware", began.hardware]);
  if (began.unix_ms) numbers.push(["began", new Date(Number(began.unix_ms)).toISOString()]);
  for (const [key, value] of numbers) {
    const box = make("div");
    box.append(make("dt", key), make("dd", value));
    find("numbers").append(box);
  }
  const refusals = lines.filter((each) => each.weight === "bad");
  const clock = (at) => ((at - start) / 1e3).toFixed(3);
  for (const each of refusals.slice(0, 500)) {
    const row = make("tr"), when = make("td", undefined, "right"), button = make("button", clock(each.at), "jump");
    button.addEventListener("click", () => seek(each.at));
    when.append(button);
    row.append(when, make("td", each.text), make("td", each.why));
    find("refusals").append(row);
  }
  find("refused").hidden = refusals.length === 0;

  // The processors.
  const tiles = new Map();
  const marks = { active: "●", off: "○", refused: "✕", left: "◌", vanished: "!", ask: "?", start: "▲", tell: "»", undo: "↺", stop: "▼" };
  const words = { ask: "asking", start: "starting", tell: "telling", undo: "undoing", stop: "stopping", add: "adding", remove: "removing", rehearse: "rehearsing" };
  find("processors").classList.toggle("many", initial.size > 128);
  for (const id of [...initial.keys()].sort((a, b) => a - b).slice(0, 4096)) {
    const tile = make("li"), mark = make("span", "", "mark"), word = make("span", "", "word");
    mark.setAttribute("aria-hidden", "true");
    tile.append(make("span", String(id), "id"), mark, word);
    find("processors").append(tile);
    tiles.set(id, { tile, mark, word, shown: "" });
  }
  let current = new Map(), applied = 0, appliedTo = -1;
  function stateAt(now) {
    if (now < appliedTo || appliedTo < 0) {
      current = new Map([...initial].map(([id, state]) => [id, { state, why: "", phase: "" }]));
      applied = 0;
    }
    for (; applied < states.length && states[applied].at <= now; applied++) {
      const change = states[applied], here = current.get(change.id);
      if (!here) continue;
      if (change.state) here.state = change.state;
      if (change.why !== undefined) here.why = change.why;
      here.phase = change.phase;
    }
    appliedTo = now;
    for (const [id, box] of tiles) {
      const { state, why, phase } = current.get(id), shown = phase || state;
      if (box.shown === shown + why) continue;
      box.shown = shown + why;
      box.tile.className = phase ? "phase" : state;
      box.mark.textContent = marks[shown] || "?";
      box.word.textContent = words[shown] || shown;
      box.tile.title = "processor " + id + ": " + (words[shown] || shown) + (why ? ". Refused by " + why : "");
    }
  }

  // The timeline: the changes of processors in as many rows as overlap, and a row for each party.
  const changes = [];
  for (const here of tracks.values()) {
    if (here.tid >= PROCESSORS) for (const slice of here.slices) changes.push({ ...slice, id: here.tid - PROCESSORS });
  }
  changes.sort((a, b) => a.begin - b.begin || a.depth - b.depth);
  const ends = [];
  for (const slice of changes.filter((each) => each.depth === 0)) {
    let at = ends.findIndex((end) => end <= slice.begin);
    if (at < 0) at = ends.length < 6 ? ends.length : 5;
    ends[at] = slice.end;
    slice.lane = at;
  }
  const rows = ends.map((_, at) => ({ name: at ? "" : "changes", slices: changes.filter((slice) => slice.lane === at), phases: changes.filter((slice) => slice.depth > 0) }));
  if (ends.length > 1) rows.forEach((row) => { row.phases = []; });
  const others = [...tracks.values()].filter((here) => here.tid < PROCESSORS && here.slices.length).sort((a, b) => a.tid - b.tid);
  rows.push(...others.slice(0, MOST_ROWS).map((here) => ({ name: here.name, slices: here.slices })));
  if (others.length > MOST_ROWS) rows.push({ name: "… and " + (others.length - MOST_ROWS) + " more", slices: [] });
  const ROW = 24, LABEL = 150, svg = find("timeline");
  let cursor, width = 900, zoom = 1, from0 = 0;
  // Where a time is, of the part of the axis that is drawn.
  const placeOf = (time) => LABEL + (share(time) - from0) * zoom * (width - LABEL - 12);
  const kind = (slice) => slice.refused ? "refused" : slice.open ? "open" : slice.instant ? "instant" : slice.args.answer === "told" ? "told" : "agreed";
  function drawAll() {
    width = Math.max(svg.parentElement.clientWidth, 480);
    const height = rows.length * ROW + 22, inner = width - LABEL - 12;
    svg.replaceChildren();
    svg.setAttribute("viewBox", "0 0 " + width + " " + height);
    svg.setAttribute("height", height);
    const x = (time) => Math.min(Math.max(placeOf(time), LABEL - 2), width - 8), first = timeAt(from0), end = timeAt(Math.min(from0 + 1 / zoom, 1));
    const seen = (slice) => slice.end >= first && slice.begin <= end;
    let left = MOST_SHAPES;
    rows.forEach((row, nth) => {
      const y = nth * ROW;
      svg.append(draw("line", { x1: 0, x2: width, y1: y + ROW, y2: y + ROW, class: "rule" }));
      const name = row.name.length > 20 ? row.name.slice(0, 19) + "…" : row.name;
      const label = draw("text", { x: 4, y: y + 16, class: "label" }, name);
      label.append(draw("title", {}, row.name));
      svg.append(label);
      for (const slice of row.slices) {
        if (!seen(slice)) continue;
        if (left-- <= 0) break;
        const from = x(slice.begin), to = x(slice.end), title = draw("title", {}, slice.name + " " + took(slice.end - slice.begin) + " " + (slice.args.result || slice.args.answer || "") + " " + reason(slice.args));
        if (slice.instant) {
          const shape = draw("path", { d: "M" + from + "," + (y + 4) + "l5,8l-5,8l-5,-8z", class: kind(slice) });
          shape.append(title);
          svg.append(shape);
          continue;
        }
        const shape = draw("rect", { x: from, y: y + 3, width: Math.max(to - from, 1.5), height: ROW - 7, rx: 2, class: (slice.id === undefined ? "" : "change ") + kind(slice) });
        shape.append(title);
        svg.append(shape);
        const text = slice.refused && slice.id === undefined ? "✕" : slice.id === undefined ? "" : slice.name + (slice.refused ? " ✕" : "");
        const short = slice.id === undefined ? text : String(slice.id);
        if (text && to - from > 8 * short.length + 4) svg.append(draw("text", { x: from + 3, y: y + 16, class: "inside" }, to - from > 8 * text.length + 4 ? text : short));
      }
      for (const phase of row.phases || []) {
        if (!seen(phase)) continue;
        if (left-- <= 0) break;
        const from = x(phase.begin);
        svg.append(draw("rect", { x: from, y: y + ROW - 5, width: Math.max(x(phase.end) - from, 1), height: 4, class: "phase-" + phase.name }));
      }
    });
    const marksAt = Math.max(Math.floor(inner / 110), 1);
    for (let nth = 0; nth <= marksAt; nth++) {
      const at = timeAt(from0 + nth / marksAt / zoom), place = LABEL + inner * nth / marksAt;
      svg.append(draw("text", { x: place, y: height - 6, class: "tick", "text-anchor": nth === marksAt ? "end" : nth ? "middle" : "start" }, clock(at) + " ms"));
      svg.append(draw("line", { x1: place, x2: place, y1: height - 22, y2: height - 18, class: "rule" }));
    }
    cursor = draw("line", { y1: 0, y2: height - 18, class: "cursor" });
    svg.append(cursor);
    find("cut").textContent = left <= 0 ? "Only " + MOST_SHAPES + " shapes are drawn: zoom in to see the others." : "";
    show();
  }

  // What happens, as lines around the present one.
  const lineTimes = lines.map((each) => each.at), story = find("story");
  let shownFrom = -1, shownLine = -1;
  function storyAt(now) {
    const at = lines.length && lines[0].at <= now ? below(lineTimes, now) : -1;
    const from = Math.max(Math.min(at - MOST_LINES / 2, lines.length - MOST_LINES), 0);
    const near = shownFrom >= 0 && at >= shownFrom && at < shownFrom + MOST_LINES && (from === shownFrom || Math.abs(from - shownFrom) < MOST_LINES / 3);
    if (!near && !(at < 0 && shownFrom === 0)) {
      shownFrom = from;
      shownLine = -1;
      story.replaceChildren(...lines.slice(from, from + MOST_LINES).map((each) => {
        const item = make("li", undefined, each.weight), button = make("button", clock(each.at), "jump");
        button.addEventListener("click", () => seek(each.at));
        item.append(button, make("span", each.text), make("span", each.why, "why"));
        return item;
      }));
      find("more").textContent = lines.length > MOST_LINES ? lines.length + " lines; those near the present time are shown." : "";
    }
    if (at !== shownLine) {
      const old = story.children[shownLine - shownFrom], item = story.children[at - shownFrom];
      if (old) old.removeAttribute("aria-current");
      if (item) {
        item.setAttribute("aria-current", "true");
        const top = item.offsetTop - story.offsetTop;
        if (top < story.scrollTop || top > story.scrollTop + story.clientHeight - 40) story.scrollTop = top - story.clientHeight / 2;
      }
      shownLine = at;
      const each = lines[at];
      find("now").textContent = each ? each.text + (each.why ? ": " + each.why : "") : "The trace begins.";
      find("now").className = each ? each.weight : "";
    }
  }

  // The present time, and how it moves.
  let now = start, playing = false, last = 0;
  const slider = find("scrub"), play = find("play"), SLIDER = 10000;
  function show() {
    const part = share(now);
    slider.value = Math.round(part * SLIDER);
    slider.setAttribute("aria-valuetext", clock(now) + " ms");
    find("time").textContent = clock(now) + " ms";
    if (zoom > 1 && (part < from0 || part > from0 + 1 / zoom)) {
      from0 = Math.min(Math.max(part - 0.25 / zoom, 0), 1 - 1 / zoom);
      return drawAll();
    }
    const place = placeOf(now);
    if (cursor) {
      cursor.setAttribute("x1", place);
      cursor.setAttribute("x2", place);
    }
    stateAt(now);
    storyAt(now);
  }
  function seek(to) {
    now = Math.min(Math.max(to, start), times[times.length - 1]);
    show();
  }
  function setPlaying(to) {
    playing = to;
    play.textContent = playing ? "❚❚ Pause" : "▶ Play";
    if (!playing) return;
    if (share(now) >= 1) seek(start);
    last = performance.now();
    requestAnimationFrame(frame);
  }
  function frame(at) {
    if (!playing) return;
    const part = share(now) + Math.max(at - last, 0) / 1000 / Number(find("speed").value);
    last = at;
    seek(timeAt(Math.min(part, 1)));
    if (part >= 1) return setPlaying(false);
    requestAnimationFrame(frame);
  }
  function step(by) {
    setPlaying(false);
    if (by > 0) return seek((lineTimes.find((at) => at > now)) || times[times.length - 1]);
    const before = lineTimes.filter((at) => at < now);
    seek(before.length ? before[before.length - 1] : start);
  }
  play.addEventListener("click", () => setPlaying(!playing));
  find("back").addEventListener("click", () => step(-1));
  find("forward").addEventListener("click", () => step(1));
  slider.addEventListener("input", () => { setPlaying(false); seek(timeAt(Number(slider.value) / SLIDER)); });
  find("scale").addEventListener("change", () => { toScale = find("scale").checked; scale(); drawAll(); });
  svg.addEventListener("click", (event) => {
    const box = svg.getBoundingClientRect(), inner = width - LABEL - 12;
    const part = ((event.clientX - box.left) / box.width * width - LABEL) / inner;
    if (part >= 0) seek(timeAt(Math.min(from0 + part / zoom, 1)));
  });
  find("zoom").addEventListener("change", () => {
    zoom = Number(find("zoom").value);
    from0 = Math.min(Math.max(share(now) - 0.5 / zoom, 0), 1 - 1 / zoom);
    drawAll();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || ["SELECT", "BUTTON", "INPUT"].includes(event.target.tagName)) return;
    const act = { " ": () => setPlaying(!playing), ArrowLeft: () => step(-1), ArrowRight: () => step(1), Home: () => seek(start), End: () => seek(finish) }[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  let resized;
  addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(drawAll, 100); });
  addEventListener("beforeprint", () => { setPlaying(false); if (zoom > 1) { find("zoom").value = "1"; [zoom, from0] = [1, 0]; drawAll(); } seek(times[times.length - 1]); });
  // A link to a moment: #t=MILLISECONDS. Without one, the end is shown: a reader wants to know how it came out.
  const wanted = /^#t=([\d.]+)$/.exec(location.hash);
  now = wanted ? start + Number(wanted[1]) * 1e3 : times[times.length - 1];
  drawAll();
  seek(now);
  setPlaying(false);
  document.body.dataset.ready = "true";
})();
