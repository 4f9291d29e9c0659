// What concerns the whole cluster: the ruler, violations, cut links and faults above the lanes, and the
// overview of the whole run below them.

const stripRow = 20;

// stripLayout says which rows the strip has, and how far down each begins.
function stripLayout() {
  const rows = [{name: view.axis === 'time' ? 'virtual time' : 'steps', key: 'ruler', height: 24}];
  if (violations.length) rows.push({name: 'violations', key: 'violations', height: stripRow});
  if (cuts.length && !view.hidden.kinds.has('cut')) rows.push({name: 'cut links', key: 'cuts', height: stripRow});
  if (faults.length && !view.hidden.kinds.has('fault')) {
    rows.push({name: 'faults', key: 'faults', height: stripRow * faultRows});
  }
  let top = 0;
  for (const row of rows) {
    row.top = top;
    top += row.height;
  }
  return {rows, height: top + 4};
}

let stripHits = [];

function paintStrip() {
  const {rows, height} = stripLayout();
  const c = surface($('strip'), view.width, height);
  stripHits = [];
  for (const row of rows) {
    if (row.key === 'ruler') paintRuler(c, height);
    if (row.key === 'cuts') paintSpans(c, cuts, row.top, 'cut');
    if (row.key === 'faults') paintSpans(c, faults, row.top, 'fault');
    if (row.key === 'violations') paintViolations(c, row.top, height);
  }
  paintSelectedLine(c, height);
  paintMatches(c);
  showStripHeads(rows);
}

// tick is the least round number that is at least v.
function tick(v) {
  const power = 10 ** Math.floor(Math.log10(v));
  return power * [1, 2, 5, 10].find((m) => m * power >= v * 0.999999);
}

function paintRuler(c, height) {
  const by = Math.max(tick((view.to - view.from) / view.width * 95), 1);
  const digits = Math.max(0, 6 - Math.floor(Math.log10(by) + 1e-9));
  c.fillStyle = palette.rule;
  c.fillRect(0, height - 1, view.width, 1);
  for (let n = Math.ceil(view.from / by); n * by <= view.to; n++) {
    const x = toX(n * by);
    c.fillStyle = palette.rule;
    c.fillRect(x, 0, 1, height);
    c.fillStyle = palette.muted;
    c.fillText(view.axis === 'time' ? textTime(n * by, digits) : String(n * by), x + 4, 12);
  }
}

// paintSpans draws what lasts, and what is a point, with its text as far as there is room.
function paintSpans(c, spans, top, colour) {
  const first = firstVisible(), last = lastVisible();
  const ends = new Map(); // by row, where the last one drawn ends
  spans.forEach((span, n) => {
    if (span.end < first || span.start > last) return;
    const y = top + span.row * stripRow + 2;
    const x0 = Math.max(xOf(span.start), -2), x1 = Math.min(Math.max(xOf(span.end), x0 + 3), view.width + 2);
    if (x1 <= (ends.get(span.row) ?? -Infinity)) return;
    ends.set(span.row, x1);
    c.fillStyle = palette[colour];
    c.globalAlpha = 0.28;
    c.fillRect(x0, y, x1 - x0, stripRow - 4);
    c.globalAlpha = 1;
    c.fillRect(x0, y, Math.min(3, Math.max(1, (x1 - x0) / 3)), stripRow - 4);
    let next = n + 1;
    while (next < spans.length && spans[next].row !== span.row) next++;
    const until = next < spans.length ? Math.min(xOf(spans[next].start), view.width) : view.width;
    const text = fitText(c, span.text, until - Math.max(x0, 0) - 10);
    c.fillStyle = palette.ink;
    if (text) c.fillText(text, Math.max(x0, 0) + 6, y + stripRow / 2 - 1.5);
    stripHits.push({x0: x0 - 3, x1: Math.max(x1, x0 + 8), y0: y, y1: y + stripRow, i: span.start});
  });
}

function paintViolations(c, top, height) {
  let free = -Infinity;
  violations.forEach((i, n) => {
    if (!inWindow(i)) return;
    const x = xOf(i);
    c.fillStyle = palette.violation;
    c.fillRect(x - 1, top, 2.5, height - top);
    stripHits.push({x0: x - 6, x1: x + 6, y0: top, y1: top + stripRow, i});
    if (x < free) return;
    const after = n + 1 < violations.length ? xOf(violations[n + 1]) : Infinity;
    const before = x - Math.max(free, 0), behind = Math.min(after, view.width) - x;
    const left = behind < 220 && before > behind;
    const room = Math.min(left ? before : behind, 560) - 20;
    const text = fitText(c, `✕ ${events[i].text}`, room);
    if (!text) return;
    const width = c.measureText(text).width + 12;
    const x0 = left ? x - width : x;
    c.fillRect(x0, top + 1, width, stripRow - 3);
    c.fillStyle = palette.background;
    c.fillText(text, x0 + 6, top + stripRow / 2);
    stripHits.push({x0, x1: x0 + width, y0: top, y1: top + stripRow, i});
    free = x0 + width;
  });
}

// paintMatches marks on the ruler what the search found.
function paintMatches(c) {
  let last = -Infinity;
  c.fillStyle = palette.match;
  for (const i of view.matches) {
    const x = xOf(i);
    if (x < 0 || x > view.width || x - last < 2) continue;
    c.fillRect(x - 1, 0, 2.5, 8);
    last = x;
  }
}

// paintCutShades tints the time in which links were cut, across the lanes.
function paintCutShades(c, height) {
  if (view.hidden.kinds.has('cut')) return;
  c.fillStyle = palette.cut;
  c.globalAlpha = 0.07;
  for (const cut of cuts) {
    const x0 = Math.max(xOf(cut.start), 0), x1 = Math.min(xOf(cut.end), view.width);
    if (x1 > x0) c.fillRect(x0, 0, x1 - x0, height);
  }
  c.globalAlpha = 1;
}

// The overview is painted once for each size, axis and filter, and then copied.
const overviewHeight = 54;
let overview = {key: '', picture: document.createElement('canvas')};

function paintOverview() {
  const key = [view.width, view.axis, window.devicePixelRatio, palette.background, view.matches.length,
    view.matches[0], ...view.hidden.nodes].join();
  if (overview.key !== key) {
    overview.key = key;
    paintWhole(surface(overview.picture, view.width, overviewHeight));
  }
  const c = surface($('overview'), view.width, overviewHeight);
  c.drawImage(overview.picture, 0, 0, view.width, overviewHeight);
  const whole = extent(), scale = view.width / (whole.to - whole.from);
  const middle = ((view.from + view.to) / 2 - whole.from) * scale;
  const half = Math.max((view.to - view.from) / 2 * scale, 4), x0 = middle - half, x1 = middle + half;
  c.fillStyle = palette.background;
  c.globalAlpha = 0.6;
  c.fillRect(0, 0, x0, overviewHeight);
  c.fillRect(x1, 0, view.width - x1, overviewHeight);
  c.globalAlpha = 1;
  c.strokeStyle = palette.window;
  c.lineWidth = 2;
  c.strokeRect(x0 + 1, 1, Math.max(x1 - x0 - 2, 1), overviewHeight - 2);
}

function paintWhole(c) {
  const whole = extent();
  const x = (i) => (place(i) - whole.from) / (whole.to - whole.from) * view.width;
  for (const cut of cuts) {
    c.fillStyle = palette.cut;
    c.globalAlpha = 0.2;
    c.fillRect(x(cut.start), 0, Math.max(x(cut.end) - x(cut.start), 1), overviewHeight);
  }
  c.globalAlpha = 1;
  const shown = [...lanes.values()].filter((lane) => !view.hidden.nodes.has(lane.id));
  const height = (overviewHeight - 8) / Math.max(shown.length, 1);
  shown.forEach((lane, row) => {
    const middle = 4 + height * (row + 0.5);
    lane.periods.forEach((period, p) => {
      const next = p + 1 < lane.periods.length ? lane.periods[p + 1].i : events.length - 1;
      const half = Math.max(roleOf(period.state).half / 10 * height * 0.42, 0.5);
      c.fillStyle = palette[period.state] ?? palette.muted;
      c.fillRect(x(period.i), middle - half, Math.max(x(next) - x(period.i), 0.75), 2 * half);
    });
  });
  c.fillStyle = palette.match;
  for (const i of view.matches) c.fillRect(x(i) - 0.5, 0, 1.5, 6);
  c.fillStyle = palette.violation;
  for (const i of violations) c.fillRect(x(i) - 1, 0, 3, overviewHeight);
}

// stripEventAt is the event under a point of the strip, or -1.
function stripEventAt(x, y) {
  const hit = stripHits.find((h) => x >= h.x0 && x <= h.x1 && y >= h.y0 && y <= h.y1);
  return hit ? hit.i : -1;
}
