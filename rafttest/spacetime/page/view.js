// The view: which part of the run is seen, on which axis, how it is filtered, and what is
// selected. Whoever changes it calls redraw.

const view = {
  axis: 'time',
  from: 0, to: 1, // the window, in units of the axis: microseconds or steps
  width: 1, // of the diagram, in pixels
  selected: -1,
  matches: [], // event numbers that the search found
  hidden: {nodes: new Set(), types: new Set(), kinds: new Set(), fates: new Set()},
};

const $ = (id) => document.getElementById(id);

// el makes an element. Properties are set as such, or as attributes if they have a dash.
function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes('-')) made.setAttribute(name, value); else made[name] = value;
  }
  made.append(...children);
  return made;
}

const place = (i) => axes[view.axis][i];
const toX = (value) => (value - view.from) / (view.to - view.from) * view.width;
const toValue = (x) => view.from + x / view.width * (view.to - view.from);
const xOf = (i) => toX(place(i));

// extent is what fits the whole run, with a margin, and never nothing.
function extent() {
  if (events.length === 0) return {from: 0, to: 1};
  const first = place(0), last = place(events.length - 1);
  const margin = Math.max((last - first) * 0.02, smallestSpan() / 2);
  return {from: first - margin, to: last + margin};
}

const smallestSpan = () => view.axis === 'time' ? 20 : 2;

// setWindow shows the part from..to, within the run and not smaller than makes sense.
function setWindow(from, to) {
  const whole = extent();
  const span = Math.min(Math.max(to - from, smallestSpan()), whole.to - whole.from);
  const middle = (from + to) / 2;
  view.from = Math.min(Math.max(middle - span / 2, whole.from), whole.to - span);
  view.to = view.from + span;
  redraw();
}

function pan(pixels) {
  const by = pixels / view.width * (view.to - view.from);
  setWindow(view.from + by, view.to + by);
}

// zoom makes the window that many times larger, with what is at x staying there.
function zoom(factor, x = view.selected >= 0 && inWindow(view.selected) ? xOf(view.selected) : view.width / 2) {
  const span = Math.max((view.to - view.from) * factor, smallestSpan());
  const from = toValue(x) - x / view.width * span;
  setWindow(from, from + span);
}

function fit() {
  const whole = extent();
  setWindow(whole.from, whole.to);
}

const inWindow = (i) => place(i) >= view.from && place(i) <= view.to;

// firstVisible and lastVisible bound the events of the window.
const firstVisible = () => bound(axes[view.axis], view.from);
const lastVisible = () => bound(axes[view.axis], view.to) - 1;

// readable is the span that shows some dozens of events around event i.
function readable(i) {
  const a = place(Math.max(0, i - 60)), b = place(Math.min(events.length - 1, i + 20));
  return Math.max(b - a, smallestSpan() * 4);
}

// select selects an event, or none if i is -1, and moves the window to it; near also zooms
// in until events can be told apart.
function select(i, near = false) {
  view.selected = i;
  if (i >= 0) {
    let span = view.to - view.from;
    if (near) span = Math.min(span, readable(i));
    const at = place(i), margin = span * 0.05;
    if (near && span < view.to - view.from) setWindow(at - span * 0.6, at + span * 0.4);
    else if (at < view.from + margin || at > view.to - margin) setWindow(at - span / 2, at + span / 2);
  }
  showDetails();
  redraw();
}

// setAxis changes what runs to the right; the same events stay in the window.
function setAxis(axis) {
  if (axis === view.axis) return;
  const first = firstVisible(), last = lastVisible();
  const whole = first === 0 && last >= events.length - 1;
  view.axis = axis;
  $('axis').value = axis;
  if (whole || last < first) fit();
  else setWindow(place(first) - smallestSpan() / 2, place(last) + smallestSpan() / 2);
}

// What the filters let through. Violations always are.
function flightShown(f) {
  const hidden = view.hidden;
  return !(hidden.types.has(f.type.name) || hidden.fates.has(f.fate) ||
    hidden.nodes.has(f.from) || hidden.nodes.has(f.to));
}

function eventShown(e) {
  const hidden = view.hidden;
  if (e.kind === 'violation') return true;
  if (e.node && hidden.nodes.has(e.node)) return false;
  if (isMessage(e)) return !hidden.types.has(e.type) && !(e.peer && hidden.nodes.has(e.peer));
  return !hidden.kinds.has(e.kind);
}

// now is the event whose state the lane heads show: the selected one, else the last visible.
const now = () => view.selected >= 0 ? view.selected : lastVisible();

// textTime is virtual time in seconds, to the microsecond unless told otherwise.
const textTime = (at, digits = 6) => `${(at / 1e6).toFixed(digits)} s`;

// palette has the page's colours for the canvases: page.css is where they are.
let palette = {};
function readPalette() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  palette = Object.fromEntries(['background', 'lane', 'ink', 'muted', 'rule', 'accent', 'cut', 'fault', 'lost',
    'violation', 'match', 'commit', 'disk', 'conf', 'client', 'window',
    ...families, 'Follower', 'PreCandidate', 'Candidate', 'Leader', 'Down', 'Stopped',
  ].map((name) => [name, colour(name)]));
}

// surface fits a canvas to its size in CSS pixels and returns its context, cleared.
function surface(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const w = Math.max(1, Math.round(width * ratio)), h = Math.max(1, Math.round(height * ratio));
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const c = canvas.getContext('2d');
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  c.clearRect(0, 0, width, height);
  c.font = '11px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
  c.textBaseline = 'middle';
  return c;
}

// fitText shortens text to a width; nothing is left of it if little would be.
function fitText(c, text, width) {
  if (text.length * 4 < width && c.measureText(text).width <= width) return text;
  let keep = Math.min(text.length - 1, Math.floor(width / 5));
  while (keep >= 3 && c.measureText(`${text.slice(0, keep)}…`).width > width) keep--;
  return keep >= 3 ? `${text.slice(0, keep)}…` : '';
}

// haloed writes text that stays readable over lines.
function haloed(c, text, x, y, colour) {
  c.lineWidth = 3;
  c.lineJoin = 'round';
  c.strokeStyle = palette.background;
  c.strokeText(text, x, y);
  c.fillStyle = colour;
  c.fillText(text, x, y);
}
