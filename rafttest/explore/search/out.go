package search

import "slices"

// Out takes what a Worker finds about one state. It is valid until Initial or
// Expand returns.
type Out struct {
	sink sink
	// commuter is nil without sleep sets.
	commuter Commuter

	// The state that is expanded.
	state    []byte
	fp       Fingerprint
	depth    int
	sleep    []uint64 // sorted
	explored []uint64
	next     []uint64 // sleep set of the successor at hand
	slept    int
	emitted  int
}

// sink is where Out leads: the batch of a search, or what follows a path.
type sink interface {
	emit(o *Out, action uint64, next []byte, fp Fingerprint)
	fail(o *Out, f failure)
}

// failure is a violation before its path is known.
type failure struct {
	depth  int
	fp     Fingerprint // of the state that was expanded
	here   bool        // that state is the bad one
	action uint64      // otherwise this leads from it to the bad one
	next   []byte
	err    error
}

// less puts first what is reported: the least depth, and then what no scheduling
// changes.
func (f failure) less(g failure) bool {
	if f.depth != g.depth {
		return f.depth < g.depth
	}
	if f.fp != g.fp {
		return f.fp.less(g.fp)
	}
	return f.action < g.action
}

// begin prepares o for a state.
func (o *Out) begin(state []byte, fp Fingerprint, depth int) {
	o.state, o.fp, o.depth = state, fp, depth
	o.explored, o.slept, o.emitted = o.explored[:0], 0, 0
}

// Want reports whether the successor by action has to be emitted. The worker asks
// for each enabled action before it computes the successor: false means that
// another order of independent actions leads there. Without sleep sets it is true.
func (o *Out) Want(action uint64) bool {
	if len(o.sleep) == 0 {
		return true
	}
	if _, asleep := slices.BinarySearch(o.sleep, action); asleep {
		o.slept++
		return false
	}
	return true
}

// Emit hands over a successor, of which a copy is kept. Under sleep sets an
// action leads to one successor.
func (o *Out) Emit(action uint64, next []byte, fp Fingerprint) {
	o.next = o.next[:0]
	if o.commuter != nil && o.depth >= 0 {
		o.inherit(action, next)
	}
	o.emitted++
	o.sink.emit(o, action, next, fp)
}

// inherit computes the sleep set of next: what slept in the state, or was
// explored there before, and commutes with action.
func (o *Out) inherit(action uint64, next []byte) {
	for _, from := range [2][]uint64{o.sleep, o.explored} {
		for _, b := range from {
			if name, ok := o.commuter.Commute(o.state, action, next, b); ok {
				o.next = append(o.next, name)
			}
		}
	}
	o.next = sortedSet(o.next)
	o.explored = append(o.explored, action)
}

// Fail reports that action leads to something forbidden. next, of which a copy is
// kept, is the bad state, and may be nil if there is none. The bad state is not
// expanded unless it is emitted too.
func (o *Out) Fail(action uint64, next []byte, err error) {
	o.emitted++
	o.sink.fail(o, failure{depth: o.depth + 1, fp: o.fp, action: action, next: next, err: err})
}

// FailHere reports that the state which is being expanded is forbidden, as a
// deadlock is.
func (o *Out) FailHere(err error) {
	o.sink.fail(o, failure{depth: o.depth, fp: o.fp, here: true, err: err})
}
