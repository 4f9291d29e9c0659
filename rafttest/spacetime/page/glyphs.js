// The signs of the diagram. Colour is never the only sign: roles differ in
// height and letter, families of messages in their dashes, marks in shape.

// roles has each state's name, letter and half height in the band.
const roles = {
  Follower: {name: 'follower', letter: 'F', half: 6},
  PreCandidate: {name: 'pre-candidate', letter: 'P', half: 7},
  Candidate: {name: 'candidate', letter: 'C', half: 8},
  Leader: {name: 'leader', letter: 'L', half: 10},
  Down: {name: 'down', letter: '', half: 0},
  Stopped: {name: 'stopped', letter: '', half: 6},
  // Of a run whose beginning is left out, it cannot be told.
  Absent: {name: events.length && events[0].step > 1 ? 'unknown' : 'not started', letter: '', half: 0},
};
const roleOf = (state) => roles[state] ?? {name: state, letter: '?', half: 6};

// Arrows leave and reach a lane this far from its middle.
const port = 12;

// strokes has each family's line.
const strokes = {
  append: {width: 1.4, dash: []},
  heartbeat: {width: 1, dash: [2, 3]},
  vote: {width: 1.5, dash: [8, 3]},
  snapshot: {width: 3, dash: []},
  other: {width: 1.4, dash: [8, 3, 2, 3]},
};

// band draws a node's state from x0 to x1 around y.
function band(c, state, x0, x1, y) {
  const {half} = roleOf(state);
  const width = Math.max(x1 - x0, 1);
  if (state === 'Absent') return;
  c.fillStyle = palette[state] ?? palette.muted;
  if (state === 'Down') {
    // Dots at fixed places, so that they stay where they are when the window moves.
    for (let x = Math.ceil(x0 / 8) * 8; x < x1; x += 8) c.fillRect(x, y - 1, 3, 2);
    return;
  }
  c.fillRect(x0, y - half, width, 2 * half);
  if (state === 'Stopped' || state === 'PreCandidate') hatch(c, x0, y - half, width, 2 * half);
}

function hatch(c, x, y, width, height) {
  c.save();
  c.beginPath();
  c.rect(x, y, width, height);
  c.clip();
  c.strokeStyle = palette.background;
  c.globalAlpha *= 0.6;
  c.lineWidth = 1.5;
  c.beginPath();
  for (let at = Math.floor((x - height) / 6) * 6; at < x + width; at += 6) {
    c.moveTo(at, y + height);
    c.lineTo(at + height, y);
  }
  c.stroke();
  c.restore();
}

function polygon(c, points) {
  c.beginPath();
  points.forEach(([x, y], i) => i ? c.lineTo(x, y) : c.moveTo(x, y));
  c.closePath();
}

function cross(c, x, y, r) {
  c.beginPath();
  c.moveTo(x - r, y - r);
  c.lineTo(x + r, y + r);
  c.moveTo(x + r, y - r);
  c.lineTo(x - r, y + r);
  c.stroke();
}

// marks draws each kind of mark at x; y is where it belongs, as in markRows.
const marks = {
  commit(c, x, y) {
    c.strokeStyle = palette.commit;
    c.lineWidth = 1.2;
    polygon(c, [[x, y - 5], [x + 4, y + 3], [x - 4, y + 3]]);
    c.stroke();
  },
  apply(c, x, y) {
    c.fillStyle = palette.commit;
    polygon(c, [[x, y - 2.5], [x + 2.6, y + 2.5], [x - 2.6, y + 2.5]]);
    c.fill();
  },
  write(c, x, y) {
    c.strokeStyle = palette.disk;
    c.lineWidth = 1.2;
    c.strokeRect(x - 3.5, y - 3.5, 7, 7);
  },
  sync(c, x, y) {
    c.fillStyle = palette.disk;
    c.fillRect(x - 2, y - 2, 4, 4);
  },
  client(c, x, y) {
    c.fillStyle = palette.client;
    c.beginPath();
    c.arc(x, y, 3.2, 0, 7);
    c.fill();
  },
  hostile(c, x, y) {
    c.fillStyle = palette.lost;
    polygon(c, [0, 1, 2, 3, 4, 5, 6, 7].map((n) => {
      const r = n % 2 ? 2 : 6;
      return [x + r * Math.sin(n * Math.PI / 4), y - r * Math.cos(n * Math.PI / 4)];
    }));
    c.fill();
  },
  conf(c, x, y) {
    c.fillStyle = palette.conf;
    c.fillRect(x - 0.75, y - 6, 1.5, 24);
    polygon(c, [[x, y - 6], [x + 8, y - 2], [x, y + 2]]);
    c.fill();
  },
  snapshot(c, x, y) {
    outlined(c, palette.snapshot, [[x, y - 7], [x + 6, y], [x, y + 7], [x - 6, y]]);
  },
  start(c, x, y) {
    outlined(c, palette.ink, [[x - 3, y - 7], [x + 7, y], [x - 3, y + 7]]);
  },
  crash(c, x, y) {
    c.lineCap = 'round';
    c.strokeStyle = palette.background;
    c.lineWidth = 7;
    cross(c, x, y, 7);
    c.strokeStyle = palette.violation;
    c.lineWidth = 3;
    cross(c, x, y, 7);
    c.lineCap = 'butt';
  },
  stop(c, x, y) {
    outlined(c, palette.violation, [[x - 7, y - 7], [x + 7, y - 7], [x + 7, y + 7], [x - 7, y + 7]]);
  },
};

// outlined fills a polygon that stands out from the band.
function outlined(c, colour, points) {
  polygon(c, points);
  c.lineJoin = 'miter';
  c.strokeStyle = palette.background;
  c.lineWidth = 3;
  c.stroke();
  c.fillStyle = colour;
  c.fill();
}

// markRows says where in a lane a mark is, from its middle.
const markRows = {
  conf: -33, commit: -20, apply: -20, snapshot: 20, crash: 0, start: 0, stop: 0, write: 20, sync: 20, client: 33,
  hostile: 33,
};

// head draws the point of an arrow at x, y that comes from the angle: full, hollow for
// answers, and with a bar if the answer is a rejection.
function head(c, x, y, angle, colour, answer, reject) {
  c.save();
  c.translate(x, y);
  c.rotate(angle);
  polygon(c, [[0, 0], [-7, -3.2], [-7, 3.2]]);
  c.setLineDash([]);
  c.lineWidth = 1.2;
  c.strokeStyle = colour;
  c.fillStyle = answer ? palette.background : colour;
  c.fill();
  c.stroke();
  if (reject) {
    c.lineWidth = 2;
    c.beginPath();
    c.moveTo(-10.5, -4.5);
    c.lineTo(-10.5, 4.5);
    c.stroke();
  }
  c.restore();
}

// lostSign and refusedSign end the arrows of messages that were lost, or that the
// node returned an error for.
function lostSign(c, x, y) {
  c.setLineDash([]);
  c.strokeStyle = palette.lost;
  c.lineWidth = 2;
  cross(c, x, y, 4);
}

function refusedSign(c, x, y) {
  c.setLineDash([]);
  c.strokeStyle = palette.lost;
  c.fillStyle = palette.background;
  c.lineWidth = 1.8;
  c.beginPath();
  c.arc(x, y, 4.5, 0, 7);
  c.fill();
  c.moveTo(x - 3, y + 3);
  c.lineTo(x + 3, y - 3);
  c.stroke();
}

// swatch is a small picture of a sign, for the legend.
function swatch(paint, width = 34, height = 18) {
  const canvas = el('canvas', {className: 'swatch', 'aria-hidden': 'true'});
  canvas.repaint = () => paint(surface(canvas, width, height), width, height / 2);
  canvas.repaint();
  return canvas;
}
