package spacetime

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/quorate-raft/raft/rafttest/trace"
)

// Figure is a short run as a drawing for a document: a lane for each node, time
// downwards, an arrow for each message, and notes beside them.
//
// Drawn are messages (kinds Send, Deliver and Drop), Role, Commit, Conf, Start,
// Crash, Cut and Violation. A configuration says which target it has, and how one
// ended. What happens in one step is at one height. The first step is the
// beginning: its events are the state in which the nodes are found, of which commit
// indexes are not drawn. A message that neither arrives nor gets lost is not drawn.
type Figure struct {
	// Title says what is to be seen, to those who cannot see it too.
	Title string
	// Notes explain steps, in their order. They are numbered from 1.
	Notes []Note
	// Events are in the order in which they happened, as in a Run.
	Events []trace.Event
	// HideCommits leaves commit indexes out, where a figure is not about them.
	HideCommits bool
}

// Note explains what happens in a step. Its number stands at the node's lane, if
// there is one.
type Note struct {
	Step, Node uint64
	Text       string
}

// WriteSVG writes the figure as SVG that needs nothing but itself: it has colours
// for light and dark pages, and shapes and words that do without colours. The same
// figure gives the same bytes. It returns an error that wraps ErrOrder if events or notes are
// out of order, before writing anything, or what w returns. It may be called concurrently.
func WriteSVG(w io.Writer, f Figure) error {
	if err := checkOrder(f.Events); err != nil {
		return err
	}
	for i := 1; i < len(f.Notes); i++ {
		if f.Notes[i].Step < f.Notes[i-1].Step {
			return fmt.Errorf("%w: note %d (step %d) follows step %d", ErrOrder, i+1, f.Notes[i].Step, f.Notes[i-1].Step)
		}
	}
	d := newDrawing(f)
	d.read(f.Events)
	d.layOut()
	out := bufio.NewWriterSize(w, 1<<16)
	d.write(out)
	// A bufio.Writer keeps its first error, and writes nothing after it.
	if err := out.Flush(); err != nil {
		return fmt.Errorf("spacetime: %w", err)
	}
	return nil
}

// drawing is a figure on its way to the page.
type drawing struct {
	title string
	notes []note
	quiet bool   // about commit indexes
	slots []slot // steps with anything to draw, in their order
	lanes []lane // by ID
	// flights are in the order of their beginnings.
	flights []flight
	cuts    []cutOff
	uses    map[string]bool // what the legend has to explain
	width   int
	height  int
	gap     int // between lanes
}

// slot is one step. Messages arrive at its top, what happens in the lanes stands below that, and
// messages leave at its bottom.
type slot struct {
	step        uint64
	top, bottom int
	rows        int
	noted       bool
}

type lane struct {
	id     uint64
	x      int
	spans  []span
	rows   []row
	commit uint64
	conf   string // the last one that is drawn
	target string // what is drawn of the last target
}

// span is a time in one role, from slot to slot.
type span struct {
	role     string // "" while the node is down
	from, to int
}

// row is a line of text beside a lane.
type row struct {
	slot, line int
	kind       string // "role", "commit", "conf", "open" (a configuration that is not committed), "start", "crash", "cut", "refuse", "target"
	text       string
	index      uint64
}

type flight struct {
	from, to   int // lanes
	leaves     int // slot
	arrives    int // slot
	lost       bool
	family     string
	answer     bool
	text       string
	x1, y1     int
	x2, y2     int
	labelX     int
	labelY     int
	labelBelow bool
}

type cutOff struct {
	lanes    []bool
	from, to int
}

type note struct {
	slot, lane int // lane -1: of no node
	violation  bool
	number     int
	lines      []string
	y          int
}

func newDrawing(f Figure) *drawing {
	d := &drawing{title: f.Title, quiet: f.HideCommits, uses: map[string]bool{}}
	ids := map[uint64]bool{}
	steps := map[uint64]bool{}
	arrived := map[uint64]bool{}
	for i := range f.Events {
		e := &f.Events[i]
		if e.Kind == trace.Deliver || e.Kind == trace.Drop {
			arrived[e.Msg] = true
		}
	}
	for i := range f.Events {
		e := &f.Events[i]
		switch e.Kind {
		case trace.Send:
			if !arrived[e.Msg] {
				continue
			}
		case trace.Deliver, trace.Drop, trace.Role, trace.Commit, trace.Conf, trace.Start, trace.Crash, trace.Cut, trace.Violation:
		default:
			continue
		}
		steps[e.Step] = true
		if e.Node != 0 {
			ids[e.Node] = true
		}
	}
	for _, n := range f.Notes {
		steps[n.Step] = true
	}
	for step := range steps {
		d.slots = append(d.slots, slot{step: step})
	}
	slices.SortFunc(d.slots, func(a, b slot) int { return cmp.Compare(a.step, b.step) })
	for id := range ids {
		d.lanes = append(d.lanes, lane{id: id})
	}
	slices.SortFunc(d.lanes, func(a, b lane) int { return cmp.Compare(a.id, b.id) })
	for i, n := range f.Notes {
		d.addNote(n, i+1, false)
	}
	return d
}

func (d *drawing) addNote(n Note, number int, violation bool) {
	s := d.slotOf(n.Step)
	d.slots[s].noted = true
	d.notes = append(d.notes, note{slot: s, lane: d.laneOf(n.Node), number: number, violation: violation, lines: wrapped(n.Text)})
	if number > 0 {
		d.uses["note"] = true
	}
}

func (d *drawing) slotOf(step uint64) int {
	i, _ := slices.BinarySearchFunc(d.slots, step, func(s slot, step uint64) int { return cmp.Compare(s.step, step) })
	return i
}

// laneOf returns the lane of a node, or -1.
func (d *drawing) laneOf(id uint64) int {
	return slices.IndexFunc(d.lanes, func(l lane) bool { return l.id == id })
}

// read turns the events into what is drawn.
func (d *drawing) read(events []trace.Event) {
	flying := map[uint64]int{}
	for i := range events {
		e := &events[i]
		s, at := d.slotOf(e.Step), d.laneOf(e.Node)
		if at < 0 && e.Kind != trace.Cut && e.Kind != trace.Violation {
			continue // of nobody
		}
		switch e.Kind {
		case trace.Send:
			if to := d.laneOf(e.Peer); to >= 0 && to != at {
				flying[e.Msg] = len(d.flights)
				d.flights = append(d.flights, flight{
					from: at, to: to, leaves: s, arrives: -1, family: familyOf(e), answer: isAnswer(e), text: messageText(e),
				})
			}
		case trace.Deliver, trace.Drop:
			if f, ok := flying[e.Msg]; ok && d.flights[f].arrives < 0 {
				d.flights[f].arrives, d.flights[f].lost = s, e.Kind == trace.Drop
				if e.Kind == trace.Deliver && e.Text != "" {
					d.addRow(s, at, "refuse", "refused")
				}
			}
		case trace.Role:
			d.readRole(s, at, e)
		case trace.Commit:
			d.lanes[at].commit = max(d.lanes[at].commit, e.Index)
			if s > 0 && !d.quiet && !d.starts(s, at) {
				d.replaceRow(s, at, "commit", fmt.Sprintf("committed %d", e.Index), e.Index)
			}
		case trace.Conf:
			d.readConf(s, at, e)
		case trace.Start:
			if n := len(d.lanes[at].spans); n > 0 || s > 0 {
				d.addRow(s, at, "start", map[bool]string{true: "restarts", false: "starts"}[n > 0])
			}
			d.enter(s, at, "Follower")
		case trace.Crash:
			d.addRow(s, at, "crash", "crashes")
			d.enter(s, at, "")
			d.uses["crash"] = true
		case trace.Cut:
			d.readCut(s, e.Text)
		case trace.Violation:
			d.addNote(Note{Step: e.Step, Node: e.Node, Text: e.Text}, 0, true)
		}
		if next := i + 1; next == len(events) || events[next].Step != e.Step {
			d.markOpen(s)
		}
	}
	slices.SortStableFunc(d.notes, func(a, b note) int { return cmp.Compare(a.slot, b.slot) })
	d.flights = slices.DeleteFunc(d.flights, func(f flight) bool { return f.arrives < 0 })
	for i := range d.flights {
		d.uses[map[bool]string{true: "lost", false: "message"}[d.flights[i].lost]] = true
		d.uses[d.flights[i].family] = true
	}
}

// readConf draws who the members are, if that is new in the lane, and what has become of a target.
func (d *drawing) readConf(s, at int, e *trace.Event) {
	l := &d.lanes[at]
	members, target := confText(e.Text), targetText(e.Text)
	if members != l.conf || target == l.target {
		d.replaceRow(s, at, "conf", members, e.Index)
		d.uses["learners"] = d.uses["learners"] || strings.Contains(members, "(")
		d.uses["joint"] = d.uses["joint"] || strings.Contains(members, "|")
	}
	if target != l.target && target != "" {
		d.replaceRow(s, at, "target", target, e.Index)
	}
	l.conf, l.target = members, target
}

func (d *drawing) readRole(s, at int, e *trace.Event) {
	role := strings.TrimPrefix(e.Role.String(), "State")
	before := ""
	if n := len(d.lanes[at].spans); n > 0 {
		before = d.lanes[at].spans[n-1].role
	}
	d.enter(s, at, role)
	d.uses[role] = true
	text := ""
	switch role {
	case "Leader":
		text = "leads"
	case "Candidate":
		text = "asks for votes"
	case "PreCandidate":
		text = "asks for pre-votes"
	default:
		if before == "Leader" {
			text = "steps down"
		}
	}
	if text != "" {
		d.replaceRow(s, at, "role", fmt.Sprintf("%s, term %d", text, e.Term), 0)
	}
}

// starts reports whether the node starts in that slot, and so begins with what it has.
func (d *drawing) starts(s, at int) bool {
	return slices.ContainsFunc(d.lanes[at].rows, func(r row) bool { return r.slot == s && r.kind == "start" })
}

// enter begins a span of a role in a lane.
func (d *drawing) enter(s, at int, role string) {
	l := &d.lanes[at]
	if n := len(l.spans); n > 0 {
		if l.spans[n-1].role == role {
			return
		}
		l.spans[n-1].to = s
	}
	l.spans = append(l.spans, span{role: role, from: s, to: len(d.slots) - 1})
}

func (d *drawing) addRow(s, at int, kind, text string) {
	l := &d.lanes[at]
	line := 0
	for _, r := range l.rows {
		if r.slot == s {
			line++
		}
	}
	l.rows = append(l.rows, row{slot: s, line: line, kind: kind, text: text})
	d.slots[s].rows = max(d.slots[s].rows, line+1)
}

// replaceRow is addRow, or replaces the row of that kind which the step has already.
func (d *drawing) replaceRow(s, at int, kind, text string, index uint64) {
	l := &d.lanes[at]
	i := slices.IndexFunc(l.rows, func(r row) bool { return r.slot == s && r.kind == kind })
	if i < 0 {
		d.addRow(s, at, kind, text)
		i = len(l.rows) - 1
	}
	l.rows[i].text, l.rows[i].index = text, index
}

// markOpen marks the configurations of the step that its end finds uncommitted.
func (d *drawing) markOpen(s int) {
	for i := range d.lanes {
		l := &d.lanes[i]
		for j := range l.rows {
			r := &l.rows[j]
			if r.slot != s || r.kind != "conf" {
				continue
			}
			if r.index > l.commit {
				r.kind = "open"
			}
			d.uses[r.kind] = true
		}
	}
}

// readCut ends what is cut off, and begins it anew: all that is not in the largest group of nodes
// that still reach each other.
func (d *drawing) readCut(s int, links string) {
	before := make([]bool, len(d.lanes))
	if n := len(d.cuts); n > 0 && d.cuts[n-1].to > s {
		d.cuts[n-1].to = s
		before = d.cuts[n-1].lanes
	}
	group := make([]int, len(d.lanes))
	for i := range group {
		group[i] = -1
	}
	cut := map[string]bool{}
	for _, link := range strings.Fields(links) {
		cut[link] = true
	}
	largest, size := 0, 0
	for i := range d.lanes {
		if group[i] < 0 {
			if n := d.spread(i, group, cut); n > size {
				largest, size = i, n
			}
		}
	}
	off := cutOff{lanes: make([]bool, len(d.lanes)), from: s, to: len(d.slots) - 1}
	for i := range group {
		off.lanes[i] = group[i] != largest
		switch {
		case off.lanes[i] && !before[i]:
			d.addRow(s, i, "cut", "cut off")
		case !off.lanes[i] && before[i]:
			d.addRow(s, i, "cut", "connected")
		}
	}
	if slices.Contains(off.lanes, true) {
		d.cuts = append(d.cuts, off)
		d.uses["cut"] = true
	}
}

// spread puts all that lane i reaches into its group and returns how many there are.
func (d *drawing) spread(i int, group []int, cut map[string]bool) int {
	todo, n := []int{i}, 0
	group[i] = i
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		n++
		for j := range d.lanes {
			a, b := min(d.lanes[at].id, d.lanes[j].id), max(d.lanes[at].id, d.lanes[j].id)
			if group[j] < 0 && !cut[fmt.Sprintf("%d-%d", a, b)] {
				group[j] = i
				todo = append(todo, j)
			}
		}
	}
	return n
}
