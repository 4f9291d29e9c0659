'use strict';
// The run: its events, and what follows from them whatever the view is.
// Events are referred to by their number in the run, from 0: the order of these is
// the order of both axes.

const started = performance.now();
const events = decode(JSON.parse(document.getElementById('run').textContent));

// decode is the inverse of encode.go.
function decode({events: stream, kinds, types, roles, texts}) {
  const decoded = [];
  let step = 0, at = 0, p = 0, mask = 0;
  // field takes the field of a bit of the mask; they are taken in the order of their bits.
  const field = (bit) => mask & (1 << bit) ? stream[p++] : 0;
  while (p < stream.length) {
    step += Number(stream[p++]);
    at += Number(stream[p++]);
    const kind = kinds[stream[p++]], node = stream[p++];
    mask = stream[p++];
    const e = {
      i: decoded.length, step, at, kind, node, peer: field(0), msg: field(1), type: field(2), term: field(3),
      index: field(4), logterm: field(5), commit: field(6), entries: field(7), reject: field(8), role: field(9),
      lead: field(10), text: field(11),
    };
    e.type = isMessage(e) ? types[e.type] : '';
    e.role = e.kind === 'role' ? roles[e.role] : '';
    e.text = texts[e.text];
    decoded.push(e);
  }
  return decoded;
}

function isMessage(e) { return e.kind === 'send' || e.kind === 'deliver' || e.kind === 'drop'; }

// line is the event as a line of a trace: see Event.String.
function line(e) {
  const sign = e.at < 0 ? '-' : '', at = Math.abs(e.at);
  let s = `${e.step} ${sign}${Math.floor(at / 1e6)}.${String(at % 1e6).padStart(6, '0')} ${e.node} ${e.kind}`;
  if (isMessage(e)) s += ` ${e.type}`;
  if (e.msg) s += ` msg=${e.msg}`;
  if (e.peer) s += ` peer=${e.peer}`;
  if (e.kind === 'role') s += ` ${e.role}`;
  for (const name of ['lead', 'term', 'index', 'logterm', 'commit', 'entries']) {
    if (e[name] && (name !== 'lead' || e.kind === 'role')) s += ` ${name}=${e[name]}`;
  }
  if (e.reject) s += ' reject';
  if (e.text) s += ` ${JSON.stringify(e.text)}`;
  return s;
}

// axes has every event's place on each axis; neither ever goes back.
const axes = {time: new Float64Array(events.length), step: new Float64Array(events.length)};
for (const e of events) {
  axes.time[e.i] = e.at;
  axes.step[e.i] = e.step;
}

// bound is the first place in a sorted array whose value is at least v.
function bound(sorted, v) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < v) low = middle + 1; else high = middle;
  }
  return low;
}

// lastUpTo is the last of ascending event numbers that is at most i, or -1.
function lastUpTo(numbers, i) {
  const p = bound(numbers, i + 1);
  return p === 0 ? -1 : numbers[p - 1];
}

// The families that message types are drawn as, in the order of the legend.
const families = ['append', 'heartbeat', 'vote', 'snapshot', 'other'];

function familyOf(type) {
  if (/^MsgApp(Resp)?$/.test(type)) return 'append';
  if (/^MsgHeartbeat(Resp)?$/.test(type)) return 'heartbeat';
  if (/^Msg(Pre)?Vote(Resp)?$/.test(type)) return 'vote';
  return /^MsgSnap/.test(type) ? 'snapshot' : 'other';
}

// types has the message types that occur: name, short name, family, whether they answer, and
// how many messages were sent or came from nowhere.
const types = new Map();
function typeOf(name) {
  let t = types.get(name);
  if (!t) {
    t = {name, short: name.replace(/^Msg/, ''), family: familyOf(name), answer: name.endsWith('Resp'), count: 0};
    types.set(name, t);
  }
  return t;
}

// byID orders node IDs; those above 2^53 are strings.
function byID(a, b) {
  const x = BigInt(a), y = BigInt(b);
  return x < y ? -1 : x > y ? 1 : 0;
}

// lanes has every node that occurs, by ID; whom a hostile message names need not be one. Each
// lane has the numbers of all its events, of some kinds of them, and its periods.
const lanes = new Map();
{
  const ids = new Set();
  for (const e of events) {
    if (e.node) ids.add(e.node);
    if (e.peer && isMessage(e)) ids.add(e.peer);
  }
  for (const id of [...ids].sort(byID)) {
    lanes.set(id, {
      id, all: [], commit: [], apply: [], conf: [], sync: [], start: [], snapshot: [], periods: [], periodStarts: [],
    });
  }
  for (const e of events) {
    const lane = lanes.get(e.node);
    if (!lane) continue;
    lane.all.push(e.i);
    if (lane[e.kind]) lane[e.kind].push(e.i);
    addPeriod(lane, e);
  }
}

// addPeriod begins the time in which a node is in one state and term: from event i
// until the next period.
function addPeriod(lane, e) {
  let state;
  if (e.kind === 'role') state = e.role;
  else if (e.kind === 'start') state = 'Follower';
  else if (e.kind === 'crash') state = 'Down';
  else if (e.kind === 'stop') state = 'Stopped';
  else return;
  const before = lane.periods.at(-1);
  const term = e.term || (before ? before.term : 0);
  lane.periods.push({i: e.i, state, term, lead: e.kind === 'role' ? e.lead : 0});
  lane.periodStarts.push(e.i);
}

// confs has the configurations that were applied, by the index of their entry, ascending.
const confs = {indexes: [], texts: []};
{
  const byIndex = new Map();
  for (const e of events) if (e.kind === 'conf' && e.index) byIndex.set(Number(e.index), e.text);
  for (const index of [...byIndex.keys()].sort((a, b) => a - b)) {
    confs.indexes.push(index);
    confs.texts.push(byIndex.get(index));
  }
}

// confAt is a node's configuration after event i: what it applied last, or what others had
// applied up to the index of the snapshot that it restored since; empty if unknown.
function confAt(lane, i) {
  const applied = lastUpTo(lane.conf, i);
  for (let p = bound(lane.snapshot, i + 1) - 1; p >= 0 && lane.snapshot[p] > applied; p--) {
    const e = events[lane.snapshot[p]];
    if (e.text === 'restored') return confs.texts[bound(confs.indexes, Number(e.index) + 1) - 1] ?? '';
  }
  return applied < 0 ? '' : events[applied].text;
}

// stateAt is what is known of a node after event i.
function stateAt(lane, i) {
  const p = bound(lane.periodStarts, i + 1) - 1;
  const period = p < 0 ? {state: 'Absent', term: 0, lead: 0} : lane.periods[p];
  const last = (kind) => {
    const at = lastUpTo(lane[kind], i);
    return at < 0 ? null : events[at];
  };
  return {
    ...period, commit: last('commit')?.index ?? 0, applied: last('apply')?.index ?? 0,
    durable: last('sync')?.index ?? 0, conf: confAt(lane, i), starts: last('start')?.index ?? 0,
  };
}

// flights has every way of a message through the network: from its sending to where
// it was delivered, refused, lost, or to nowhere yet. start and end are event numbers.
// A duplicate is a flight of its own from the same sending.
const fates = ['delivered', 'refused', 'lost', 'in flight'];
const flights = [];
{
  const sent = new Map(); // the last sending of each message that has a number
  const ended = new Uint8Array(events.length);
  const add = (start, end, fate, e) => {
    const out = e.kind !== 'deliver';
    flights.push({start, end, fate, type: typeOf(e.type), from: out ? e.node : e.peer, to: out ? e.peer : e.node});
  };
  for (const e of events) {
    if (e.kind === 'send') {
      typeOf(e.type).count++;
      if (e.msg) sent.set(e.msg, e.i);
    } else if (isMessage(e)) {
      const start = sent.get(e.msg) ?? e.i;
      ended[start] = 1;
      if (start === e.i) typeOf(e.type).count++;
      add(start, e.i, e.kind === 'drop' ? 'lost' : e.text ? 'refused' : 'delivered', e);
    }
  }
  for (const e of events) {
    if (e.kind === 'send' && !ended[e.i]) add(e.i, e.i, 'in flight', e);
  }
  flights.sort((a, b) => a.start - b.start || a.end - b.end);
}

// blocks bound the flights, 256 at a time, so that those of a window are found
// without looking at all.
const blocks = [];
for (let p = 0; p < flights.length; p += 256) {
  let end = 0;
  for (let q = p; q < Math.min(p + 256, flights.length); q++) end = Math.max(end, flights[q].end);
  blocks.push({start: flights[p].start, end});
}

// eachFlight calls visit for the flights that touch the events from first to last,
// until it returns false.
function eachFlight(first, last, visit) {
  for (let b = 0; b < blocks.length && blocks[b].start <= last; b++) {
    if (blocks[b].end < first) continue;
    for (let p = b * 256; p < Math.min(b * 256 + 256, flights.length); p++) {
      const f = flights[p];
      if (f.start <= last && f.end >= first && visit(f) === false) return;
    }
  }
}

// Marks are the events that are drawn as something of their own: small ones only
// where there is room, notable ones always.
const smallKinds = ['commit', 'apply', 'write', 'sync', 'client', 'hostile'];
const notableKinds = ['conf', 'snapshot', 'crash', 'start', 'stop'];
const kindCounts = new Map();
const smallMarks = [], notableMarks = [], violations = [];
for (const e of events) {
  kindCounts.set(e.kind, (kindCounts.get(e.kind) ?? 0) + 1);
  if (e.kind === 'violation') violations.push(e.i);
  if (!lanes.has(e.node)) continue;
  if (smallKinds.includes(e.kind)) smallMarks.push(e.i);
  if (notableKinds.includes(e.kind)) notableMarks.push(e.i);
}

// Spans are what lasts: {start, end, text, row}. A cut lasts until the next
// one. A fault lasts from the first event with its number to the second; one
// without a second is a point.
const cuts = [], faults = [];
let faultRows = 0;
{
  const open = new Map();
  let cut = null;
  for (const e of events) {
    if (e.kind === 'cut') {
      if (cut) cut.end = e.i;
      cut = e.text ? {start: e.i, end: events.length - 1, text: e.text, row: 0} : null;
      if (cut) cuts.push(cut);
    } else if (e.kind === 'fault') {
      const begun = e.index ? open.get(e.index) : undefined;
      if (begun) {
        begun.end = e.i;
        open.delete(e.index);
      } else {
        const fault = {start: e.i, end: e.i, text: e.text, row: 0};
        faults.push(fault);
        if (e.index) open.set(e.index, fault);
      }
    }
  }
  const rowEnds = [];
  for (const f of faults) {
    let row = rowEnds.findIndex((end) => end < f.start);
    if (row < 0) row = rowEnds.length < 4 ? rowEnds.length : 3;
    rowEnds[row] = f.end;
    f.row = row;
  }
  faultRows = rowEnds.length;
}
const loaded = performance.now();
