package differential

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/quorate-raft/raft/interop/etcdraft"
	opb "github.com/quorate-raft/raft/raftpb"
)

// Difference is a difference that no rule explains.
type Difference struct {
	Seed uint64
	Step uint64
	What string
	// Transcript is what happened in the last steps, on both sides.
	Transcript string
}

// Error says what differed, where, and what led there.
func (d *Difference) Error() string {
	return fmt.Sprintf("seed %d, step %d: %s\n%s", d.Seed, d.Step, d.What, d.Transcript)
}

// plan is what a run is drawn from: its seed says all of it.
type plan struct {
	settings    settings
	voters      int
	learners    int
	members     int // the others have empty disks and may be added
	theirVoices uint32
	steps       int
	weights     [opKinds]int
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func newPlan(r *rand.Rand) *plan {
	p := &plan{
		voters: pick(r, 1, 2, 3, 3, 3, 4, 5), learners: pick(r, 0, 0, 1), steps: pick(r, 200, 400, 800),
		theirVoices: pick(r, 0, 0, 0xff, r.Uint32()),
	}
	p.members = p.voters + p.learners + pick(r, 0, 0, 1)
	p.members = min(p.members, maxMembers)
	p.settings = settings{
		electionTick: pick(r, 3, 5, 10), heartbeatTick: pick(r, 1, 1, 2),
		preVote: r.IntN(3) > 0, checkQuorum: r.IntN(3) > 0,
		oneEntryPerMsg: r.IntN(4) == 0, inflight: pick(r, 256, 256, 4, 2, 1),
		maxUncommitted: uint64(pick(r, 0, 0, 40)), noForward: r.IntN(6) == 0, snapshotTicks: pick(r, 1<<20, 1<<20, 4), oneEntryPerReady: r.IntN(4) == 0,
	}
	s := &p.settings
	s.async, s.loseCommit = r.IntN(3) == 0, r.IntN(2) == 0
	s.lease = r.IntN(4) == 0 && s.checkQuorum && s.electionTick-leaseLost > s.heartbeatTick
	if s.oneEntryPerMsg {
		s.inflightBytes = uint64(pick(r, 0, 20, 60))
	}
	s.holdApply = s.async && r.IntN(2) == 0
	p.weights = [opKinds]int{
		opTick: pick(r, 60, 30, 15), opDeliver: pick(r, 100, 60), opDeliverLate: pick(r, 0, 10, 20),
		opDuplicate: pick(r, 0, 5), opDrop: pick(r, 0, 3, 10), opCampaign: pick(r, 1, 2),
		opPropose: 8, opProposeMany: 2, opRead: pick(r, 0, 4),
		opTransfer: pick(r, 0, 1), opForget: pick(r, 0, 1), opUnreachable: pick(r, 0, 1), opSnapshotReport: pick(r, 0, 1),
		opRestart: pick(r, 0, 1), opCompact: pick(r, 0, 2, 6), opConf: pick(r, 0, 3, 6), opHostile: pick(r, 0, 0, 2),
	}
	if s.async {
		p.steps *= 2 // each thing takes two
		p.weights[opWritten] = pick(r, 150, 60, 30)
		p.weights[opTick] /= 2
	}
	if s.holdApply {
		p.weights[opApplied] = pick(r, 60, 20, 5)
	}
	switch {
	case !s.holdApply:
	case r.IntN(2) == 0:
		// Elections while changes wait to be applied.
		p.weights[opTransfer], p.weights[opCampaign], p.weights[opConf] = 5, 5, 12
	default:
		// Snapshots meanwhile.
		s.laggard = uint64(r.IntN(p.members)) + 1
		p.weights[opApplied], p.weights[opCompact], p.weights[opConf] = 60, 20, 30
	}
	return p
}

func (p *plan) ops(r *rand.Rand) []op {
	total := 0
	for _, n := range p.weights {
		total += n
	}
	ops := make([]op, p.steps)
	for i := range ops {
		n := r.IntN(total)
		kind := opKind(0)
		for n >= p.weights[kind] {
			n -= p.weights[kind]
			kind++
		}
		ops[i] = op{kind, r.Uint32(), r.Uint32()}
	}
	return ops
}

// Result sums up runs.
type Result struct {
	Runs, Steps uint64
	// Fired says how often each rule applied.
	Fired map[string]uint64
}

// Run makes runs with the seeds from first on until they had steps steps, and
// returns what it counted. The error is a *Difference, shortened.
func Run(first, steps uint64) (Result, error) {
	var fired [len(ruleTable)]uint64
	res := Result{}
	var err error
	for seed := first; res.Steps < steps && err == nil; seed++ {
		var done int
		done, err = runSeed(seed, &fired)
		res.Runs++
		res.Steps += uint64(done)
	}
	res.Fired = map[string]uint64{}
	for i, n := range fired {
		res.Fired[ruleTable[i].Name] = n
	}
	return res, err
}

func runSeed(seed uint64, fired *[len(ruleTable)]uint64) (int, error) {
	r := rand.New(rand.NewPCG(seed, 1))
	p := newPlan(r)
	ops := p.ops(r)
	done, err := play(seed, p, ops, fired, false)
	if err == nil {
		return done, nil
	}
	var unused [len(ruleTable)]uint64
	ops = shorten(seed, p, ops[:done], kindOf(err), &unused)
	if _, again := play(seed, p, ops, &unused, true); again != nil {
		err = again
	}
	return done, err
}

// play makes the steps and returns how many it made.
func play(seed uint64, p *plan, ops []op, fired *[len(ruleTable)]uint64, record bool) (done int, err error) {
	w, err := newWorld(seed, p, fired)
	if err != nil {
		return 0, err
	}
	w.log.on = record
	defer func() {
		if v := recover(); v != nil {
			err = w.fail("ours panics: %v", v)
		}
		if d, ok := err.(*Difference); ok {
			w.log.add(w)
			d.Transcript = fmt.Sprintf("%+v, %d voters, %d learners, %d members, voices %b\n%s",
				p.settings, p.voters, p.learners, p.members, p.theirVoices, w.log)
		}
	}()
	for i := range ops {
		if err := w.do(ops[i]); err != nil {
			return i + 1, err
		}
	}
	return len(ops), nil
}

// kindOf returns what an error says but for its numbers.
func kindOf(err error) string {
	what := err.Error()
	if d, ok := err.(*Difference); ok {
		what = d.What
	}
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, what)
}

// shorten leaves out steps as long as the run still fails in the same way.
func shorten(seed uint64, p *plan, ops []op, kind string, fired *[len(ruleTable)]uint64) []op {
	budget := 400
	for size := max(1, len(ops)/2); ; size = max(1, size/2) {
		removed := false
		for at := len(ops) - size; at >= 0 && budget > 0; at -= size {
			budget--
			fewer := append(append([]op(nil), ops[:at]...), ops[at+size:]...)
			if done, err := play(seed, p, fewer, fired, false); err != nil && kindOf(err) == kind {
				ops, removed = fewer[:done], true
				at = min(at, len(ops))
			}
		}
		if budget <= 0 || (size == 1 && !removed) {
			return ops
		}
	}
}

// transcript keeps the last steps.
type transcript struct {
	on    bool
	lines []string
	last  uint64
}

const transcriptSteps = 40

func (t *transcript) add(w *world) {
	if !t.on || t.last == w.step || w.cur.m == nil {
		return
	}
	t.last = w.step
	c, m := &w.cur, w.cur.m
	var b strings.Builder
	what := c.input
	if c.in == nil {
		what = fmt.Sprintf("%s %d %d", opNames[c.op.kind], c.op.a, c.op.b)
	}
	fmt.Fprintf(&b, "%d: member %d (speaks %s): %s\n", w.step, m.id, map[bool]string{true: "theirs", false: "ours"}[m.speaksTheirs], what)
	so, st := m.o.BasicStatus(), m.t.BasicStatus()
	fmt.Fprintf(&b, "   ours:   %v %v lead=%d last=%d applied=%d elapsed=%d/%d err=%v\n", so.RaftState, so.HardState, so.Lead, so.LastIndex, so.Applied, m.op.elapsed(), m.op.timeout(), c.oErr)
	fmt.Fprintf(&b, "   theirs: %v %v lead=%d last=%d applied=%d elapsed=%d/%d err=%v\n", st.RaftState, st.HardState, st.Lead, m.tLast, st.Applied, *m.tp.elapsed(), *m.tp.timeout(), c.tErr)
	for i := range m.out.messages {
		fmt.Fprintf(&b, "   ours sends   %s\n", describe(&m.out.messages[i]))
	}
	for i := range m.tout.messages {
		o := etcdraft.ToMessage(&m.tout.messages[i])
		fmt.Fprintf(&b, "   theirs sends %s\n", describe(&o))
	}
	for i := range m.out.held {
		fmt.Fprintf(&b, "   ours holds   %s\n", describe(&m.out.held[i]))
	}
	for i := range m.tout.held {
		o := etcdraft.ToMessage(&m.tout.held[i])
		fmt.Fprintf(&b, "   theirs holds %s\n", describe(&o))
	}
	for _, h := range m.leaving {
		if h.o != nil {
			fmt.Fprintf(&b, "   ours lets go %s\n", describe(h.o))
		}
	}
	for _, r := range m.out.reads {
		fmt.Fprintf(&b, "   ours reads   %x at %d\n", r.ctx, r.index)
	}
	for _, r := range m.tout.reads {
		fmt.Fprintf(&b, "   theirs reads %x at %d\n", r.ctx, r.index)
	}
	for id, p := range m.o.Status().Progress {
		fmt.Fprintf(&b, "   ours %d: %v waiting=%t probe=%t sent commit=%d\n", id, p, p.Waiting, p.ProbeDue, p.SentCommit)
	}
	if so.RaftState == 2 {
		for id, p := range m.tp.trk().Progress {
			fmt.Fprintf(&b, "   theirs %d: %v paused=%t\n", id, p, p.MsgAppFlowPaused)
		}
	}
	t.lines = append(t.lines, b.String())
	if len(t.lines) > transcriptSteps {
		t.lines = t.lines[1:]
	}
}

// String returns the steps kept.
func (t *transcript) String() string { return strings.Join(t.lines, "") }

func describe(m *opb.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %d→%d term %d index %d/%d commit %d", m.Type, m.From, m.To, m.Term, m.LogTerm, m.Index, m.Commit)
	if m.Reject {
		fmt.Fprintf(&b, " reject hint %d", m.RejectHint)
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		fmt.Fprintf(&b, " [%d/%d %v %x]", e.Term, e.Index, e.Type, e.Data)
	}
	if m.Snapshot != nil {
		fmt.Fprintf(&b, " snapshot %d/%d", m.Snapshot.Metadata.Term, m.Snapshot.Metadata.Index)
	}
	if len(m.Context) > 0 {
		fmt.Fprintf(&b, " context %x", m.Context)
	}
	if m.NoAnswer {
		b.WriteString(" no answer")
	}
	return b.String()
}
