// The details of the selected event, and the heads of lanes and strips.

// link is a button that selects an event.
function link(i, text) {
  const button = el('button', {type: 'button', className: 'link'}, text);
  button.dataset.event = String(i);
  button.addEventListener('click', () => select(i));
  return button;
}

function showDetails() {
  const e = events[view.selected];
  $('announcement').textContent = e ? `${titleOf(e)}, step ${e.step}. ${e.text}` : '';
  if (!e) {
    $('details').replaceChildren(el('h2', {}, 'Details'), el('p', {className: 'hint'},
      events.length ? 'Click an arrow, a mark or a band to see the event behind it. The lanes’ heads show each ' +
        'node’s state at the selected event, or else at the right edge.' : 'The run has no events.'),
      ...summary());
    return;
  }
  const fields = el('dl', {id: 'fields'});
  for (const [name, value] of fieldsOf(e)) fields.append(el('dt', {}, name), el('dd', {}, String(value)));
  $('details').replaceChildren(
    el('h2', {}, titleOf(e)), steppers(e), fields, ...otherEnds(e),
    el('p', {className: 'trace', title: 'The event as a line of a trace; one click selects it'}, line(e)),
    ...sameStep(e));
}

// summary is shown while nothing is selected.
function summary() {
  if (events.length === 0) return [];
  const first = events[0], last = events.at(-1);
  const lost = flights.reduce((n, f) => n + (f.fate === 'lost' ? 1 : 0), 0);
  const rows = [
    ['nodes', lanes.size], ['events', number(events.length)], ['steps', `${number(first.step)} – ${number(last.step)}`],
    ['virtual time', textTime(last.at - first.at, 3)], ['messages', `${number(flights.length)}, ${number(lost)} lost`],
    ['violations', violations.length],
  ];
  const list = el('dl', {id: 'summary'});
  for (const [name, value] of rows) list.append(el('dt', {}, name), el('dd', {}, String(value)));
  return [list];
}

function titleOf(e) {
  const where = e.node ? ` · node ${e.node}` : '';
  return isMessage(e) ? `${e.kind} ${e.type.replace(/^Msg/, '')}${where}` : `${e.kind}${where}`;
}

// fieldsOf has all fields of an event that say something, by the names of trace.Event.
function fieldsOf(e) {
  const fields = [['Step', number(e.step)], ['At', textTime(e.at)], ['Kind', e.kind]];
  const add = (name, value) => { if (value) fields.push([name, value]); };
  const out = e.kind !== 'deliver';
  add('Node', isMessage(e) ? `${e.node} (${out ? 'sender' : 'receiver'})` : e.node);
  add('Peer', isMessage(e) ? `${e.peer} (${out ? 'receiver' : 'sender'})` :
    e.kind === 'hostile' && e.peer ? `${e.peer} (named as sender)` : e.peer);
  add('Msg', e.msg && `#${e.msg}`);
  add('Type', e.type);
  add('Role', e.kind === 'role' ? roleOf(e.role).name : '');
  add('Lead', e.lead);
  for (const [name, key] of [['Term', 'term'], ['Index', 'index'], ['LogTerm', 'logterm'], ['Commit', 'commit'],
    ['Entries', 'entries']]) add(name, e[key]);
  add('Reject', e.reject ? 'yes' : '');
  add('Text', e.text);
  return fields;
}

// otherEnds links an event of a message to where the message came from and went to.
function otherEnds(e) {
  const ends = new Map(); // by event number, so that each is named once
  for (const f of flightsOf(e)) {
    if (f.start !== e.i) ends.set(f.start, 'sent');
    if (f.end !== e.i && f.end !== f.start) ends.set(f.end, f.fate);
    if (f.end === f.start && f.fate === 'in flight') ends.set(-1, f.fate);
  }
  if (ends.size === 0) return [];
  const list = el('ul', {id: 'other-ends'});
  for (const [i, fate] of [...ends].sort((a, b) => a[0] - b[0])) {
    if (i < 0) {
      list.append(el('li', {}, 'still in flight when the run ends'));
      continue;
    }
    const apart = events[i].at - e.at;
    const when = `step ${number(events[i].step)}, ${Math.abs(apart) / 1000} ms ${apart < 0 ? 'earlier' : 'later'}`;
    list.append(el('li', {}, link(i, `${fate} at ${when}`)));
  }
  return [list];
}

function steppers(e) {
  const step = (id, text, title, to) => {
    const button = el('button', {type: 'button', id, title, 'aria-label': title, disabled: to < 0}, text);
    button.addEventListener('click', () => select(to));
    return button;
  };
  return el('div', {className: 'steppers', role: 'group', 'aria-label': 'Go from event to event'},
    step('previous', '‹ event', 'Previous event (b)', neighbour(e.i, -1)),
    step('next', 'event ›', 'Next event (n)', neighbour(e.i, 1)),
    step('node-previous', '‹ of node', 'Previous event of this node ([)', neighbour(e.i, -1, e.node)),
    step('node-next', 'of node ›', 'Next event of this node (])', neighbour(e.i, 1, e.node)));
}

// neighbour is the next event that the filters let through, of a node if one is given, or -1.
function neighbour(i, by, node) {
  for (let at = i + by; at >= 0 && at < events.length; at += by) {
    if (eventShown(events[at]) && (node === undefined || events[at].node === node)) return at;
  }
  return -1;
}

// sameStep lists what happened in the same step, or the part of it around the event.
function sameStep(e) {
  const first = bound(axes.step, e.step), after = bound(axes.step, e.step + 1);
  const from = Math.max(first, Math.min(e.i - 50, after - 100)), to = Math.min(after, from + 100);
  const list = el('ol', {id: 'same-step'});
  for (let i = from; i < to; i++) {
    const one = events[i];
    const peer = one.peer ? ` ${['deliver', 'hostile'].includes(one.kind) ? '←' : '→'} ${one.peer}` : '';
    const text = [one.node || '–', peer, ' ', one.kind, ' ', one.type.replace(/^Msg/, ''),
      one.kind === 'role' ? roleOf(one.role).name : '', one.index ? ` i${one.index}` : '', ' ', one.text].join('');
    const item = el('li', {}, link(i, text.trim()));
    if (i === e.i) item.firstChild.setAttribute('aria-current', 'true');
    list.append(item);
  }
  const all = to - from === after - first ? '' : ` (${number(to - from)} of ${number(after - first)})`;
  return [el('h3', {}, `All of step ${number(e.step)}${all}`), list];
}

// buildLaneHeads makes the heads beside the lanes; showLaneHeads fills in the state of the moment.
function buildLaneHeads() {
  const {shown, laneHeight} = layout();
  $('lane-heads').replaceChildren(...shown.map((lane) => {
    const head = el('div', {className: 'lane-head'});
    head.style.height = `${laneHeight}px`;
    head.dataset.node = String(lane.id);
    return head;
  }));
  showLaneHeads();
}

function showLaneHeads() {
  const {shown, laneHeight} = layout();
  const heads = $('lane-heads').children;
  if (heads.length !== shown.length) return;
  shown.forEach((lane, row) => {
    const head = heads[row], s = stateAt(lane, now());
    const key = [s.state, s.term, s.lead, s.commit, s.applied, s.durable, s.conf, laneHeight].join('\n');
    if (head.key === key) return;
    head.key = key;
    head.style.height = `${laneHeight}px`;
    head.className = `lane-head role-${s.state}`;
    const leads = s.state === 'Follower' && s.lead ? ` of ${s.lead}` : '';
    head.replaceChildren(el('b', {title: `node ${lane.id}`}, `node ${lane.id}`),
      el('span', {}, `${roleOf(s.state).name}${leads}`), el('span', {}, `term ${s.term}, commit ${s.commit}`),
      el('span', {}, `applied ${s.applied}`),
      ...(s.conf ? [el('span', {className: 'conf', title: s.conf}, s.conf)] : []));
  });
}

function showStripHeads(rows) {
  const key = rows.map((row) => `${row.name} ${row.height}`).join();
  if ($('strip-heads').dataset.key === key) return;
  $('strip-heads').dataset.key = key;
  $('strip-heads').replaceChildren(...rows.map((row) => {
    const head = el('div', {}, row.name);
    head.style.height = `${row.height}px`;
    return head;
  }));
}
