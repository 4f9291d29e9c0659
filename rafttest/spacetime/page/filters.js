// The legend, whose lines are also the filters.

const swatches = [];

// legendLine is one line of the legend; with a set it is a check box that keeps the value out of
// the set.
function legendLine(paint, text, note, set, value) {
  const picture = paint ? swatch(paint) : '';
  if (picture) swatches.push(picture);
  const label = el('span', {className: 'name'}, text);
  const count = el('span', {className: 'note'}, note);
  if (!set) return el('div', {className: 'line'}, picture, label, count);
  const box = el('input', {type: 'checkbox', checked: !set.has(value)});
  box.dataset.value = String(value);
  box.addEventListener('change', () => {
    if (box.checked) set.delete(value); else set.add(value);
    filtersChanged();
  });
  return el('label', {className: 'line'}, box, picture, label, count);
}

// group is a titled part of the legend; with boxes in it, it gets buttons for all and none.
function group(id, title, lines) {
  const heading = el('h3', {}, title);
  const section = el('div', {className: 'legend', id: `legend-${id}`, role: 'group', 'aria-label': title}, heading);
  if (lines.some((one) => one.tagName === 'LABEL')) {
    for (const [text, checked] of [['all', true], ['none', false]]) {
      const button = el('button', {type: 'button', className: 'small', 'aria-label': `${title}: ${text}`}, text);
      button.addEventListener('click', () => {
        for (const box of section.querySelectorAll('input')) {
          if (box.checked !== checked) box.click();
        }
      });
      heading.append(button);
    }
  }
  section.append(...lines);
  return section;
}

const number = (n) => n.toLocaleString('en');

function buildFilters() {
  const {nodes, types: hiddenTypes, kinds, fates: hiddenFates} = view.hidden;
  const typeLines = families.flatMap((family) => [...types.values()].filter((t) => t.family === family)
    .map((t) => legendLine((c, w, y) => paintSample(c, w, y, t), t.short, number(t.count), hiddenTypes, t.name)));
  const fateCounts = new Map();
  for (const f of flights) fateCounts.set(f.fate, (fateCounts.get(f.fate) ?? 0) + 1);
  const fateLines = fates.map((fate) => legendLine((c, w, y) => paintFate(c, w, y, fate), fate,
    number(fateCounts.get(fate) ?? 0), hiddenFates, fate));
  const seen = (kind) => kindCounts.has(kind);
  const markTexts = {
    commit: 'commit index', apply: 'applied index', conf: 'configuration', write: 'disk write', sync: 'disk sync',
    snapshot: 'snapshot', crash: 'crash', start: 'start', stop: 'stopped with an error', client: 'client',
    hostile: 'hostile message',
  };
  const markLines = [...smallKinds, ...notableKinds].filter(seen).map((kind) => legendLine(
    (c, w, y) => marks[kind](c, w / 2, kind === 'conf' ? y - 1 : y), markTexts[kind],
    number(kindCounts.get(kind)), kinds, kind));
  for (const kind of ['cut', 'fault'].filter(seen)) {
    markLines.push(legendLine((c, w, y) => paintSpanSample(c, w, y, kind),
      kind === 'cut' ? 'cut links' : 'fault or intervention', number(kindCounts.get(kind)), kinds, kind));
  }
  const roleLines = Object.keys(roles).filter((state) => state !== 'Absent').map((state) => legendLine(
    (c, w, y) => band(c, state, 1, w - 1, y), `${roles[state].letter} ${roles[state].name}`.trim(), ''));
  if (seen('violation')) {
    roleLines.push(legendLine((c, w) => {
      c.fillStyle = palette.violation;
      c.fillRect(w / 2 - 1, 0, 2.5, 18);
    }, 'violation', number(violations.length)));
  }
  const barLines = [legendLine(paintBarSample, 'messages that reached the node', ''),
    legendLine(paintCurveSample, 'commit index, lowest to highest', '')];

  const nodeLines = [...lanes.values()].map((lane) => legendLine(
    null, `node ${lane.id}`, number(lane.all.length), nodes, lane.id));
  $('filters').append(el('h2', {}, 'Legend and filters'),
    group('nodes', 'Nodes', nodeLines),
    group('types', 'Message types', typeLines),
    group('fates', 'Messages were', fateLines),
    group('kinds', 'Marks', markLines),
    group('roles', 'Roles', roleLines),
    group('bars', 'Zoomed out', barLines));
}

function paintSample(c, width, y, {family, answer}) {
  c.strokeStyle = palette[family];
  c.lineWidth = strokes[family].width;
  c.setLineDash(strokes[family].dash);
  c.beginPath();
  c.moveTo(1, y);
  c.lineTo(width - 8, y);
  c.stroke();
  head(c, width - 2, y, 0, palette[family], answer, false);
}

function paintFate(c, width, y, fate) {
  c.strokeStyle = palette.muted;
  c.lineWidth = 1.4;
  c.beginPath();
  c.moveTo(1, y);
  c.lineTo(fate === 'in flight' ? width / 2 : width - 8, y);
  c.stroke();
  if (fate === 'lost') lostSign(c, width - 8, y);
  else if (fate === 'refused') refusedSign(c, width - 8, y);
  else head(c, fate === 'in flight' ? width / 2 + 6 : width - 2, y, 0, palette.muted, false, false);
}

function paintSpanSample(c, width, y, kind) {
  c.fillStyle = palette[kind];
  c.globalAlpha = 0.28;
  c.fillRect(4, y - 7, width - 6, 14);
  c.globalAlpha = 1;
  c.fillRect(4, y - 7, 3, 14);
}

function paintBarSample(c, width, y) {
  [4, 9, 6, 12, 7, 5, 10, 3].forEach((h, i) => {
    const x = 4 + i * 3.4;
    c.fillStyle = palette.append;
    c.fillRect(x, y - 8, 2.5, h);
    c.fillStyle = palette.lost;
    if (i % 3 === 0) for (let at = 0; at < 4; at += 2) c.fillRect(x, y - 8 + h + at + 1, 2.5, 1);
  });
}

function paintCurveSample(c, width, y) {
  c.strokeStyle = palette.commit;
  c.lineWidth = 1.2;
  c.beginPath();
  c.moveTo(3, y + 6);
  for (const [x, dy] of [[10, 6], [10, 2], [18, 2], [18, -3], [26, -3], [26, -7], [32, -7]]) c.lineTo(x, y + dy);
  c.stroke();
}

let filtering = false;
// filtersChanged redraws once, however many boxes changed.
function filtersChanged() {
  overviewStale();
  redraw();
  if (filtering) return;
  filtering = true;
  queueMicrotask(() => {
    filtering = false;
    buildLaneHeads();
  });
}
