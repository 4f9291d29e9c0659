// Drawing when something changed, and all that the user can do.

let pending = false;
function redraw() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(draw);
}

const overviewStale = () => { overview.key = ''; };

function draw() {
  pending = false;
  const begun = performance.now();
  paintStrip();
  paintLanes();
  paintOverview();
  showLaneHeads();
  counts.milliseconds = performance.now() - begun;
  counts.drawings++;
  if (counts.drawings === 1) counts.firstDrawn = performance.now();
  rememberPlace();
}

function resize() {
  view.width = Math.max(100, $('diagram').clientWidth - $('lane-heads').offsetWidth -
    ($('scroller').offsetWidth - $('scroller').clientWidth));
  buildLaneHeads();
  draw(); // at once: the old picture has the wrong size
}

// The address keeps the place: #step=…, with the span and the axis of the window, and the
// selected event.
let remembering = 0;
let address = '';
function rememberPlace() {
  clearTimeout(remembering);
  remembering = setTimeout(() => {
    if (events.length === 0) return;
    const middle = Math.min(bound(axes[view.axis], (view.from + view.to) / 2), events.length - 1);
    const parts = [`step=${events[view.selected >= 0 ? view.selected : middle].step}`];
    if (view.selected >= 0) parts.push(`event=${view.selected}`);
    const whole = extent();
    if (view.to - view.from < (whole.to - whole.from) * 0.999) parts.push(`span=${Math.round(view.to - view.from)}`);
    if (view.axis !== 'time') parts.push(`axis=${view.axis}`);
    address = `#${parts.join('&')}`;
    history.replaceState(null, '', address);
  }, 250);
}

function goToAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  setAxis(asked.get('axis') === 'step' ? 'step' : 'time');
  fit();
  if (!asked.has('step') || events.length === 0) return;
  const event = Number(asked.get('event') ?? NaN), span = Number(asked.get('span'));
  const i = Number.isInteger(event) && events[event] ? event : ofStep(Number(asked.get('step')));
  if (span > 0) setWindow(place(i) - span / 2, place(i) + span / 2);
  if (asked.has('event')) select(i);
  else if (!(span > 0) && asked.get('step') !== '') select(i, true);
}

// ofStep is the first event of a step, or of the first step after it, or the last of all.
const ofStep = (step) => Math.min(bound(axes.step, step), events.length - 1);

// Finding: a number is a step; anything else is looked for in the events' lines.
let sought = '';
function find(by) {
  const query = $('query').value.trim();
  const fresh = query !== sought;
  if (fresh) {
    sought = query;
    view.matches = [];
    if (/^\d+$/.test(query)) {
      $('found').textContent = '';
      overviewStale();
      if (events.length) select(ofStep(Number(query)), true);
      return;
    }
    const lower = query.toLowerCase();
    if (query) for (const e of events) if (line(e).toLowerCase().includes(lower)) view.matches.push(e.i);
  }
  overviewStale();
  const found = view.matches;
  if (found.length === 0) {
    $('found').textContent = query && !/^\d+$/.test(query) ? 'nothing' : '';
    redraw();
    return;
  }
  let p;
  if (by > 0) p = bound(found, view.selected + (fresh ? 0 : 1));
  else p = bound(found, view.selected < 0 ? events.length : view.selected) - 1;
  p = (p + found.length) % found.length;
  $('found').textContent = `${number(p + 1)} of ${number(found.length)}`;
  select(found[p], true);
}

// jump goes to the next violation, and from the last one to the first.
function jump() {
  if (violations.length === 0) return;
  select(violations[bound(violations, view.selected + 1) % violations.length], true);
}

function otherEnd() {
  const e = events[view.selected];
  const f = e && flightsOf(e).find((one) => one.start === e.i || one.end === e.i);
  if (f && f.start !== f.end) select(f.start === e.i ? f.end : f.start);
}

const stepTo = (i) => { if (i >= 0) select(i); };
const keys = {
  '+': () => zoom(1 / 1.5), '=': () => zoom(1 / 1.5), '-': () => zoom(1.5), '−': () => zoom(1.5), '0': fit,
  ArrowLeft: () => pan(-view.width / 8), ArrowRight: () => pan(view.width / 8),
  ArrowUp: () => { $('scroller').scrollTop -= 60; }, ArrowDown: () => { $('scroller').scrollTop += 60; },
  PageUp: () => pan(-view.width * 0.9), PageDown: () => pan(view.width * 0.9),
  Home: () => setWindow(extent().from, extent().from + view.to - view.from),
  End: () => setWindow(extent().to - (view.to - view.from), extent().to),
  n: () => stepTo(view.selected < 0 ? Math.min(firstVisible(), events.length - 1) : neighbour(view.selected, 1)),
  b: () => stepTo(view.selected < 0 ? lastVisible() : neighbour(view.selected, -1)),
  ']': () => { if (view.selected >= 0) stepTo(neighbour(view.selected, 1, events[view.selected].node)); },
  '[': () => { if (view.selected >= 0) stepTo(neighbour(view.selected, -1, events[view.selected].node)); },
  m: otherEnd, v: jump, p: togglePanel, t: () => setAxis(view.axis === 'time' ? 'step' : 'time'),
  '/': () => { $('query').focus(); $('query').select(); },
  Escape: () => select(-1),
};

function onKey(e) {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.target.matches('input, select, textarea')) {
    if (e.key === 'Escape') $('lanes').focus();
    else if (e.target.type !== 'checkbox' || !/^[a-z0-9+\-/]$/.test(e.key)) return;
  }
  const does = keys[e.key];
  if (!does) return;
  e.preventDefault();
  does();
}

function togglePanel() {
  const hide = !document.body.classList.contains('no-side');
  document.body.classList.toggle('no-side', hide);
  $('panel').setAttribute('aria-expanded', String(!hide));
}

// Dragging moves, a click selects; two fingers zoom.
function listenToPointer(canvas, at) {
  const fingers = new Map();
  let moved = 0;
  const point = (e) => {
    const box = canvas.getBoundingClientRect();
    return {x: e.clientX - box.left, y: e.clientY - box.top};
  };
  canvas.addEventListener('pointerdown', (e) => {
    if (e.button !== 0) return;
    canvas.setPointerCapture(e.pointerId);
    fingers.set(e.pointerId, point(e));
    moved = 0;
    hideHover();
  });
  canvas.addEventListener('pointermove', (e) => {
    const p = point(e), before = fingers.get(e.pointerId);
    if (!before) return showHover(canvas, at(p.x, p.y), p);
    const others = [...fingers].filter(([id]) => id !== e.pointerId).map(([, other]) => other);
    moved += Math.abs(p.x - before.x) + Math.abs(p.y - before.y);
    if (others.length) {
      const apart = (a) => Math.max(20, Math.hypot(a.x - others[0].x, a.y - others[0].y));
      zoom(apart(before) / apart(p), (p.x + others[0].x) / 2);
    } else if (moved > 4) {
      canvas.classList.add('dragging');
      pan(before.x - p.x);
      $('scroller').scrollTop += before.y - p.y;
      fingers.set(e.pointerId, point(e));
      return;
    }
    fingers.set(e.pointerId, p);
  });
  const end = (e) => {
    if (!fingers.delete(e.pointerId)) return;
    canvas.classList.remove('dragging');
    if (e.type === 'pointerup' && moved <= 4) select(at(point(e).x, point(e).y));
  };
  canvas.addEventListener('pointerup', end);
  canvas.addEventListener('pointercancel', end);
  canvas.addEventListener('pointerleave', hideHover);
  canvas.addEventListener('dblclick', (e) => zoom(1 / 3, point(e).x));
  canvas.addEventListener('wheel', (e) => {
    e.preventDefault();
    hideHover();
    const unit = e.deltaMode === 1 ? 16 : 1;
    if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) pan((e.deltaX || e.deltaY) * unit);
    else zoom(Math.exp(Math.max(-1, Math.min(1, e.deltaY * unit * 0.002))), point(e).x);
  }, {passive: false});
}

function showHover(canvas, i, {x, y}) {
  canvas.classList.toggle('over', i >= 0);
  if (i < 0) return hideHover();
  const e = events[i], hover = $('hover');
  hover.replaceChildren(el('b', {}, titleOf(e)), el('span', {}, `step ${number(e.step)} · ${textTime(e.at)}`),
    ...(e.text ? [el('span', {}, e.text)] : []));
  hover.hidden = false;
  const box = $('diagram').getBoundingClientRect(), from = canvas.getBoundingClientRect();
  hover.style.left = `${Math.min(x + from.left - box.left + 14, box.width - hover.offsetWidth - 4)}px`;
  const below = y + from.top - box.top + 18;
  hover.style.top = `${below + hover.offsetHeight < box.height ? below : below - hover.offsetHeight - 30}px`;
}

function hideHover() { $('hover').hidden = true; }

function listenToOverview() {
  const canvas = $('overview');
  const go = (e) => {
    const whole = extent(), span = view.to - view.from;
    const middle = whole.from + (e.clientX - canvas.getBoundingClientRect().left) / view.width * (whole.to - whole.from);
    setWindow(middle - span / 2, middle + span / 2);
  };
  canvas.addEventListener('pointerdown', (e) => {
    canvas.setPointerCapture(e.pointerId);
    go(e);
  });
  canvas.addEventListener('pointermove', (e) => { if (e.buttons & 1) go(e); });
  canvas.addEventListener('wheel', (e) => {
    e.preventDefault();
    zoom(Math.exp(Math.max(-1, Math.min(1, e.deltaY * 0.002))));
  }, {passive: false});
}

function begin() {
  readPalette();
  buildFilters();
  $('replay').hidden = $('replay').querySelector('code').textContent === '';
  $('subtitle').hidden = $('subtitle').textContent === '';
  $('jump').disabled = violations.length === 0;
  $('jump').textContent = violations.length === 0 ? 'No violation' :
    violations.length === 1 ? 'Jump to violation' : `Jump to violation (${violations.length})`;
  $('zoom-in').addEventListener('click', keys['+']);
  $('zoom-out').addEventListener('click', keys['-']);
  $('fit').addEventListener('click', fit);
  $('jump').addEventListener('click', jump);
  $('panel').addEventListener('click', togglePanel);
  $('axis').addEventListener('change', (e) => setAxis(e.target.value));
  $('find-previous').addEventListener('click', () => find(-1));
  $('search').addEventListener('submit', (e) => { e.preventDefault(); find(1); });
  $('query').addEventListener('keydown', (e) => {
    if (e.key === 'Enter' && e.shiftKey) { e.preventDefault(); find(-1); }
  });
  $('query').addEventListener('search', () => { if (!$('query').value) find(1); });
  document.addEventListener('keydown', onKey);
  window.addEventListener('hashchange', () => { if (location.hash !== address) goToAddress(); });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    readPalette();
    for (const picture of swatches) picture.repaint();
    redraw();
  });
  listenToPointer($('lanes'), eventAt);
  listenToPointer($('strip'), stripEventAt);
  listenToOverview();
  new ResizeObserver(resize).observe($('diagram'));
  resize();
  goToAddress();
  showDetails();
}

begin();

// window.spacetime is for tests: state() has what is seen, and locate(i) where on the page
// event i is, in CSS pixels of the viewport.
window.spacetime = Object.freeze({
  state: () => ({
    axis: view.axis, from: view.from, to: view.to, selected: view.selected, matches: view.matches.length,
    events: events.length, nodes: lanes.size, flights: flights.length, violations: [...violations],
    loadedAfter: loaded, decodedIn: loaded - started, ...counts,
  }),
  event: (i) => ({...events[i], line: line(events[i])}),
  locate: (i) => {
    const box = $('lanes').getBoundingClientRect(), p = pointAt(i);
    return {x: box.left + p.x, y: box.top + p.y};
  },
});
