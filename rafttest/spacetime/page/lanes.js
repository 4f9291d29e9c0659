// The lanes: a row for each node that the filters let through.

// counts says what the last drawing had, for tests; hits is what a pointer can meet in it.
const counts = {mode: '', bands: 0, arrows: 0, lost: 0, marks: 0, bars: 0, labels: 0, milliseconds: 0, drawings: 0};
let hits = {marks: [], arrows: [], bands: []};
let names = []; // where marks with texts are: {x0, x1, y}

const smallestLane = 86;

// layout gives each visible lane its middle, in pixels from the top.
function layout() {
  const shown = [...lanes.values()].filter((lane) => !view.hidden.nodes.has(lane.id));
  const room = $('scroller').clientHeight;
  const laneHeight = Math.max(smallestLane, Math.min(260, Math.floor(room / Math.max(shown.length, 1))));
  const rows = new Map(shown.map((lane, i) => [lane.id, laneHeight * (i + 0.5)]));
  return {shown, rows, laneHeight, height: Math.max(laneHeight * shown.length, room)};
}

function paintLanes() {
  const {shown, rows, laneHeight, height} = layout();
  const c = surface($('lanes'), view.width, height);
  hits = {marks: [], arrows: [], bands: []};
  names = [];
  Object.assign(counts, {bands: 0, arrows: 0, lost: 0, marks: 0, bars: 0, labels: 0});
  shown.forEach((lane, i) => {
    if (i % 2 === 1) {
      c.fillStyle = palette.lane;
      c.fillRect(0, laneHeight * i, view.width, laneHeight);
    }
  });
  paintCutShades(c, laneHeight * shown.length);
  const arrows = flightsInWindow();
  counts.mode = arrows ? 'arrows' : 'bars';
  paintViolationLines(c, height);
  paintSelectedLine(c, height);
  if (arrows) hits.arrows = paintArrows(c, arrows, rows, laneHeight);
  else {
    paintBars(c, rows, laneHeight);
    paintCommitCurves(c, shown, rows, laneHeight);
  }
  for (const lane of shown) paintBands(c, lane, rows.get(lane.id));
  if (arrows) paintMarks(c, smallMarks, rows);
  paintMarks(c, notableMarks, rows);
  paintSelection(c, rows);
}

// paintBands draws what a node was, with its terms.
function paintBands(c, lane, y) {
  const periods = lane.periods;
  let p = Math.max(0, bound(lane.periodStarts, firstVisible()) - 1);
  if (p === 0 || periods.length === 0) {
    c.fillStyle = palette.rule;
    c.fillRect(0, y - 0.5, view.width, 1);
  }
  // At least a pixel each; what would be less is drawn into the same pixel.
  for (let drawnTo = -Infinity; p < periods.length; p++) {
    const period = periods[p];
    const x0 = Math.max(xOf(period.i), -20);
    if (x0 > view.width) break;
    const x1 = Math.min(p + 1 < periods.length ? xOf(periods[p + 1].i) : xOf(events.length - 1), view.width + 20);
    if (x1 < drawnTo || x1 < 0) continue;
    band(c, period.state, x0, x1, y);
    counts.bands++;
    if (p > 0 && x0 > 0 && x1 - x0 > 3 && roleOf(period.state).half > 0) {
      c.fillStyle = palette.background;
      c.fillRect(x0 - 0.5, y - 10, 1, 20);
    }
    if (x1 - x0 > 14) nameBand(c, lane, period, Math.max(x0, 0), x1, y);
    hits.bands.push({x0, x1, y, i: period.i});
    drawnTo = Math.max(x1, x0 + 1);
  }
}

function nameBand(c, lane, {state, term, lead, i}, x0, x1, y) {
  const startedAt = lastUpTo(lane.start, i);
  if (startedAt >= 0) x0 = Math.max(x0, xOf(startedAt) + 6); // beside the sign of the start
  if (state === 'Stopped') x0 = Math.max(x0, xOf(i) + 6);
  const {name, letter, half} = roleOf(state);
  const texts = half === 0 ? [name] : [
    `${name} · term ${term}${state === 'Follower' && lead ? ` · follows ${lead}` : ''}`,
    `${name} · term ${term}`, `${letter} ${term}`, `${term}`, letter,
  ];
  const text = texts.find((t) => c.measureText(t).width < Math.min(x1, view.width) - x0 - 10);
  if (!text) return;
  counts.labels++;
  if (half === 0) haloed(c, text, x0 + 12, y, palette.muted);
  else {
    c.fillStyle = palette[`${state}`] && state === 'Stopped' ? palette.background : bandInk(state);
    if (state === 'Stopped' || state === 'PreCandidate') {
      c.save();
      c.fillStyle = palette[state];
      c.fillRect(x0 + 3, y - half + 1, c.measureText(text).width + 6, 2 * half - 2);
      c.restore();
    }
    c.fillText(text, x0 + 6, y + 0.5);
  }
}

// bandInk is what can be read on a band.
const bandInk = (state) => state === 'Leader' || state === 'Stopped' ? palette.background : palette.ink;

// paintMarks draws marks that are at least some pixels apart from the last of their kind in
// their lane, and their texts where there is room until the next mark in their row.
function paintMarks(c, numbers, rows) {
  const lastOfKind = new Map(), waiting = new Map(); // for their texts, by lane and row
  const first = bound(numbers, firstVisible()), after = bound(numbers, lastVisible() + 1);
  // Where signs would cover the bands that they are on, they are drawn smaller.
  const size = after - first > rows.size * view.width / 50 ? 0.55 : 1;
  for (let p = first; p < after; p++) {
    const e = events[numbers[p]];
    const middle = rows.get(e.node);
    if (middle === undefined || view.hidden.kinds.has(e.kind)) continue;
    const x = xOf(e.i), y = middle + markRows[e.kind];
    const kind = `${e.node} ${e.kind}`;
    if (x - (lastOfKind.get(kind) ?? -Infinity) < 2.5) continue;
    lastOfKind.set(kind, x);
    if (size === 1 || markRows[e.kind] !== 0) marks[e.kind](c, x, y);
    else {
      c.save();
      c.translate(x, y);
      c.scale(size, size);
      marks[e.kind](c, 0, 0);
      c.restore();
    }
    hits.marks.push({x, y, i: e.i});
    counts.marks++;
    const row = `${e.node} ${markRows[e.kind]}`, before = waiting.get(row);
    if (before && x - before.x < 2.5) continue; // a commit and its apply are one mark with one text
    if (before) nameMark(c, before, x);
    waiting.set(row, {e, x, y});
  }
  for (const mark of waiting.values()) nameMark(c, mark, view.width);
}

// nameMark writes what belongs beside a mark, up to x1: numbers in full, texts as far as they go.
function nameMark(c, {e, x, y}, x1) {
  const whole = e.kind === 'commit' || e.kind === 'snapshot';
  if (e.kind === 'snapshot' && counts.mode === 'bars') return;
  const text = whole ? String(e.index) : ['conf', 'client', 'hostile', 'stop'].includes(e.kind) ? e.text : '';
  const offset = e.kind === 'conf' ? 10 : 7, down = {stop: -17, conf: -2, snapshot: 12}[e.kind] ?? 0;
  const cut = text && fitText(c, text, Math.min(x1 - x - offset - 4, 420));
  if (!cut || (whole && cut !== text) || cut.length < Math.min(text.length, 6)) return;
  const at = {x0: x + offset, x1: x + offset + c.measureText(cut).width, y: y + down};
  // A snapshot's index is where clients' texts are, which say more.
  if (e.kind === 'snapshot' && names.some((n) => Math.abs(n.y - at.y) < 11 && n.x0 < at.x1 && n.x1 > at.x0)) return;
  names.push({...at, x0: x - 6});
  counts.labels++;
  if (counts.mode === 'bars') { // The curve of the commit index may run through it.
    c.fillStyle = palette.background;
    c.globalAlpha = 0.8;
    c.fillRect(at.x0, at.y - 6, at.x1 - at.x0, 12);
    c.globalAlpha = 1;
  }
  haloed(c, cut, at.x0, at.y, palette.ink);
}

// paintCommitCurves shows, where marks would be too many, how far each node's commit index is:
// from the lowest to the highest of the window.
function paintCommitCurves(c, shown, rows, laneHeight) {
  const first = firstVisible(), last = lastVisible();
  let low = Infinity, high = 0;
  const parts = shown.map((lane) => {
    const from = Math.max(0, bound(lane.commit, first) - 1), to = bound(lane.commit, last + 1);
    for (let p = from; p < to; p++) {
      const index = Number(events[lane.commit[p]].index);
      low = Math.min(low, index);
      high = Math.max(high, index);
    }
    return {lane, from, to};
  });
  if (view.hidden.kinds.has('commit') || high <= low) return;
  const room = laneHeight / 2 - 18;
  c.strokeStyle = palette.commit;
  c.lineWidth = 1.2;
  for (const {lane, from, to} of parts) {
    const base = rows.get(lane.id) - 13;
    c.beginPath();
    let y = 0;
    for (let p = from; p < to; p++) {
      const x = Math.max(xOf(lane.commit[p]), 0);
      const next = base - (Number(events[lane.commit[p]].index) - low) / (high - low) * room;
      if (p === from) c.moveTo(x, next); else c.lineTo(x, y);
      c.lineTo(x, y = next);
    }
    if (to > from) c.lineTo(Math.min(xOf(events.length - 1), view.width), y);
    c.stroke();
  }
}

function paintViolationLines(c, height) {
  for (const i of violations) {
    if (!inWindow(i)) continue;
    c.fillStyle = palette.violation;
    c.fillRect(xOf(i) - 1, 0, 2.5, height);
  }
}

function paintSelectedLine(c, height) {
  if (view.selected < 0 || !inWindow(view.selected)) return;
  c.fillStyle = palette.accent;
  for (let y = 0; y < height; y += 7) c.fillRect(xOf(view.selected) - 0.5, y, 1, 4);
}

// paintSelection marks the selected event, and all flights of a selected message.
function paintSelection(c, rows) {
  if (view.selected < 0) return;
  const e = events[view.selected];
  if (isMessage(e)) for (const f of flightsOf(e)) {
    if (rows.has(f.from) && rows.has(f.to)) {
      const a = arrowOf(f, rows);
      emphasise(c, a);
    }
  }
  const middle = rows.get(e.node);
  if (middle === undefined || !inWindow(e.i)) return;
  const {x, y} = markPoint(e, rows);
  c.strokeStyle = palette.accent;
  c.lineWidth = 2;
  c.beginPath();
  c.arc(x, y, 10, 0, 7);
  c.stroke();
}

// markPoint is where an event's mark is, or its end of its message's arrow.
function markPoint(e, rows) {
  const f = isMessage(e) && flightsOf(e).find((one) => one.start === e.i || one.end === e.i);
  if (!f || !rows.has(f.from) || !rows.has(f.to)) return {x: xOf(e.i), y: rows.get(e.node) + (markRows[e.kind] ?? 0)};
  const a = arrowOf(f, rows);
  return f.start === e.i && f.end !== e.i ? {x: a.x0, y: a.y0} : {x: a.x1, y: a.y1};
}

// flightsOf returns the flights that an event of a message belongs to.
function flightsOf(e) {
  if (!isMessage(e)) return [];
  return flights.filter((f) => f.start === e.i || f.end === e.i ||
    (e.msg && events[f.start].msg === e.msg));
}

// pointAt is where event i is in the lanes' canvas: in the middle of its arrow, if it has one.
function pointAt(i) {
  const {rows} = layout();
  const e = events[i];
  const f = isMessage(e) ? flightsOf(e).find((one) => one.end === i || one.start === i) : null;
  if (f) {
    const a = arrowOf(f, rows);
    return {x: (a.x0 + a.x1) / 2, y: (a.y0 + a.y1) / 2};
  }
  return {x: xOf(i), y: (rows.get(e.node) ?? 0) + (markRows[e.kind] ?? 0)};
}

// eventAt is the event under a point of the lanes' canvas, or -1: a mark, an arrow, a band,
// and, where messages are bars, the nearest event of the lane.
function eventAt(x, y) {
  let best = -1, distance = 9;
  for (const m of hits.marks) {
    const d = Math.hypot(m.x - x, m.y - y);
    if (d < distance) [best, distance] = [m.i, d];
  }
  if (best >= 0) return best;
  distance = 6;
  for (const a of hits.arrows) {
    const d = distanceTo(a, x, y);
    if (d < distance) [best, distance] = [arrowEvent(a, x, y), d];
  }
  if (best >= 0) return best;
  for (const b of hits.bands) if (x >= b.x0 && x <= b.x1 && Math.abs(b.y - y) <= 11) best = b.i;
  return best >= 0 || counts.mode === 'arrows' ? best : nearestInLane(x, y);
}

// arrowEvent is the end of an arrow that is nearer, so that both can be selected.
function arrowEvent({f, x0, y0, x1, y1}, x, y) {
  return Math.hypot(x - x0, y - y0) < Math.hypot(x - x1, y - y1) ? f.start : f.end;
}

function distanceTo({x0, y0, x1, y1}, x, y) {
  const dx = x1 - x0, dy = y1 - y0;
  const t = Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(x - x0 - t * dx, y - y0 - t * dy);
}

function nearestInLane(x, y) {
  const {shown, laneHeight} = layout();
  const lane = shown[Math.floor(y / laneHeight)];
  if (!lane) return -1;
  const value = toValue(x), reach = 6 / view.width * (view.to - view.from);
  let best = -1, distance = reach;
  const from = bound(lane.all, bound(axes[view.axis], value - reach));
  for (let p = from; p < lane.all.length && place(lane.all[p]) <= value + reach; p++) {
    const i = lane.all[p], d = Math.abs(place(i) - value);
    if (eventShown(events[i]) && d < distance) [best, distance] = [i, d];
  }
  return best;
}
