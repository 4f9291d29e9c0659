// Messages: arrows while they can be told apart, bars that count them otherwise.

const barWidth = 3;

// arrowLimit is how many arrows can be told apart.
const arrowLimit = () => Math.max(300, view.width * 0.6);

// flightsInWindow returns the visible flights that the filters let through, or null if they are
// too many for arrows.
function flightsInWindow() {
  const found = [], limit = arrowLimit();
  eachFlight(firstVisible(), lastVisible(), (f) => {
    if (flightShown(f)) found.push(f);
    return found.length <= limit;
  });
  return found.length <= limit ? found : null;
}

// arrowOf is where a flight's arrow begins and ends. A lost message ends on its way, and so
// does one in flight; where both ends are one event, the arrow leans a bit.
function arrowOf(f, rows) {
  const from = rows.get(f.from), to = rows.get(f.to);
  const alone = f.start === f.end;
  let x0 = xOf(f.start), x1 = xOf(f.end);
  if (from === undefined || to === undefined || f.from === f.to) {
    const y = (from ?? to) - port;
    return {x0, y0: y, x1: Math.max(x1, x0 + 16), y1: y - 8};
  }
  const down = to > from ? 1 : -1;
  const y0 = from + down * port, y1 = to - down * port;
  if (f.fate === 'lost') {
    if (place(f.start) === place(f.end)) x1 = x0 + 14;
    return {x0, y0, x1, y1: y0 + (y1 - y0) * 0.6};
  }
  if (f.fate === 'in flight') return {x0, y0, x1: x0 + 14, y1: y0 + (y1 - y0) * 0.3};
  // Delivered, but the run does not say when it was sent.
  if (alone) return {x0: x0 - 14, y0: y1 - down * 24, x1, y1};
  return {x0, y0, x1, y1};
}

// paintArrows draws the flights and returns what of them can be hit.
function paintArrows(c, shown, rows, laneHeight) {
  const drawn = shown.map((f) => ({f, ...arrowOf(f, rows)}));
  c.globalAlpha = drawn.length > 600 ? 0.55 : drawn.length > 200 ? 0.75 : 1;
  for (const family of families) {
    const {width, dash} = strokes[family];
    c.strokeStyle = palette[family];
    c.lineWidth = width;
    c.setLineDash(dash);
    c.beginPath();
    for (const a of drawn) {
      if (a.f.type.family !== family) continue;
      c.moveTo(a.x0, a.y0);
      c.lineTo(a.x1, a.y1);
    }
    c.stroke();
  }
  c.setLineDash([]);
  let signs = 0;
  for (const a of drawn) {
    if (a.x1 < -20 || a.x1 > view.width + 20) continue;
    paintEnd(c, a);
    signs += a.f.fate === 'lost' ? 1 : 0;
  }
  c.globalAlpha = 1;
  if (drawn.length <= 120) nameArrows(c, drawn, laneHeight);
  counts.arrows = drawn.length;
  counts.lost = signs;
  return drawn;
}

function paintEnd(c, {f, x0, y0, x1, y1}) {
  if (f.fate === 'lost') lostSign(c, x1, y1);
  else if (f.fate === 'refused') refusedSign(c, x1, y1);
  else {
    const angle = Math.atan2(y1 - y0, x1 - x0);
    head(c, x1, y1, angle, palette[f.type.family], f.type.answer, events[f.end].reject);
  }
}

// nameArrows writes the messages along their arrows, in the receivers' gaps, where there
// is room. Names keep clear of those written before.
function nameArrows(c, drawn, laneHeight) {
  const written = [];
  for (const {f, x0, y0, x1, y1} of drawn) {
    const dx = x1 - x0, dy = y1 - y0, length = Math.hypot(dx, dy);
    const back = Math.min(0.5, (laneHeight / 2 - port) / Math.max(Math.abs(dy), 1));
    const x = x1 - dx * back, y = y1 - dy * back;
    const room = Math.min(length, (laneHeight - 2 * port) * length / Math.max(Math.abs(dy), 1)) - 26;
    const text = namesOf(f).find((t) => c.measureText(t).width < room);
    if (!text || x1 < x0) continue;
    const width = c.measureText(text).width;
    const points = [-0.4, -0.2, 0, 0.2, 0.4].map((n) => n * width / length).map((n) => ({x: x + dx * n, y: y + dy * n}));
    if (written.some((w) => points.some((p) => Math.hypot(w.x - p.x, w.y - p.y) < 12))) continue;
    written.push(...points);
    counts.labels++;
    c.save();
    c.translate(x, y);
    c.rotate(Math.atan2(dy, dx));
    c.textAlign = 'center';
    haloed(c, text, 0, -7, palette.ink);
    c.restore();
  }
}

// namesOf has what may be written along an arrow, longest first.
function namesOf(f) {
  const e = events[f.start];
  const index = e.index ? ` i${e.index}${e.entries ? `+${e.entries}` : ''}` : '';
  return [`${f.type.short} t${e.term}${index}`, `${f.type.short}${index}`, f.type.short];
}

// emphasise draws an arrow again, as the selected one.
function emphasise(c, a) {
  c.strokeStyle = palette.accent;
  c.globalAlpha = 0.35;
  c.lineWidth = 9;
  c.lineCap = 'round';
  c.beginPath();
  c.moveTo(a.x0, a.y0);
  c.lineTo(a.x1, a.y1);
  c.stroke();
  c.lineCap = 'butt';
  c.globalAlpha = 1;
}

// paintBars counts messages where arrows would be too many: below each lane those that reached
// the node, by family, and hatched on top of them those that got lost on the way to it.
function paintBars(c, rows, laneHeight) {
  const bins = Math.ceil(view.width / barWidth) + 1;
  const kinds = [...families, 'lost'];
  const tally = new Map([...rows.keys()].map((id) => [id, new Uint16Array(bins * kinds.length)]));
  const familyNumber = new Map(families.map((family, i) => [family, i]));
  let highest = 1;
  const sums = new Map([...rows.keys()].map((id) => [id, new Uint16Array(bins)]));
  eachFlight(firstVisible(), lastVisible(), (f) => {
    const row = tally.get(f.to);
    if (!row || f.fate === 'in flight' || !flightShown(f)) return;
    const bin = Math.floor(xOf(f.end) / barWidth);
    if (bin < 0 || bin >= bins) return;
    row[bin * kinds.length + (f.fate === 'lost' ? families.length : familyNumber.get(f.type.family))]++;
    highest = Math.max(highest, ++sums.get(f.to)[bin]);
  });
  const room = laneHeight / 2 - 16;
  let bars = 0;
  for (const [id, row] of tally) {
    const top = rows.get(id) + 13;
    c.fillStyle = palette.rule;
    c.fillRect(0, top - 1, view.width, 1);
    const heights = new Float32Array(bins);
    kinds.forEach((kind, k) => {
      c.fillStyle = palette[kind];
      for (let bin = 0; bin < bins; bin++) {
        const n = row[bin * kinds.length + k];
        if (n === 0) continue;
        const h = Math.max(n / highest * room, 1);
        c.fillRect(bin * barWidth, top + heights[bin], barWidth - 0.5, h);
        if (kind === 'lost' && h > 3) lostNotch(c, bin * barWidth, top + heights[bin], h);
        heights[bin] += h;
        bars++;
      }
    });
  }
  counts.bars = bars;
}

// lostNotch marks the lost part of a bar with gaps, so that it differs in more than colour.
function lostNotch(c, x, y, height) {
  const colour = c.fillStyle;
  c.fillStyle = palette.background;
  for (let at = y + 1.5; at < y + height - 1; at += 3) c.fillRect(x, at, barWidth - 0.5, 1);
  c.fillStyle = colour;
}
