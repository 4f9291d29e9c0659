package sim

import "github.com/quorate-raft/raft/rafttest/trace"

// Shrink looks for a shorter run that violates the same rule as the one that o
// makes: fewer steps, fewer planned faults, fewer families of faults. It makes at
// most tries runs, at least one, and returns the shortest run that it found with
// its result, o itself if there is none.
func Shrink(o Options, tries int) (Options, Result) {
	sh := shrinker{best: o, tries: tries - 1} // the first is made in any case
	sh.best.Observer = nil
	sh.result = Run(sh.best)
	v := sh.result.Violation
	if v == nil {
		return o, sh.result
	}
	sh.rule, sh.step = v.Rule, v.Step
	if sh.best.Steps == 0 {
		sh.best.Steps = defaultSteps
	}
	sh.shorten()
	sh.leaveOut()
	sh.dropFamilies()
	sh.shorten()
	sh.best.Skip = sh.trimmedSkip()
	sh.best.Observer = o.Observer
	return sh.best, sh.result
}

type shrinker struct {
	best   Options
	result Result
	rule   string
	step   uint64 // of the violation in the whole run
	tries  int
}

// try makes a run and keeps it if it violates the rule, no later than the whole
// run did, after no more faults than the best.
func (sh *shrinker) try(o Options) bool {
	if sh.tries <= 0 {
		return false
	}
	sh.tries--
	r := Run(o)
	if r.Violation == nil || r.Violation.Rule != sh.rule ||
		r.Violation.Step > sh.step || r.Stats.Faults > sh.result.Stats.Faults {
		return false
	}
	sh.best, sh.result = o, r
	return true
}

// shorten cuts off what comes after the violation. One that was found while the
// group should recover is looked for after fewer steps.
func (sh *shrinker) shorten() {
	if step := sh.result.Violation.Step; step < sh.best.Steps {
		o := sh.best
		o.Steps = step
		sh.try(o)
		return
	}
	for part := uint64(2); part <= 16; part *= 2 {
		o := sh.best
		if o.Steps -= o.Steps / part; o.Steps == 0 {
			return
		}
		if sh.try(o) {
			part = 1
		}
	}
}

// leaveOut leaves out planned faults, ever smaller groups of those that are left.
func (sh *shrinker) leaveOut() {
	if sh.tries <= 0 {
		return
	}
	sh.tries--
	left := sh.carriedOut()
	for size := (len(left) + 1) / 2; size > 0 && sh.tries > 0; {
		found := false
		for at := 0; at < len(left) && sh.tries > 0; {
			end := min(at+size, len(left))
			rest := append(append([]uint64(nil), left[:at]...), left[end:]...)
			o := sh.best
			o.Skip = sh.allBut(rest)
			if sh.try(o) {
				left, found = rest, true
				continue
			}
			at = end
		}
		if !found || size > len(left) {
			size /= 2
		}
	}
}

// carriedOut returns the numbers of the faults that the best run carried out.
func (sh *shrinker) carriedOut() []uint64 {
	var numbers []uint64
	o := sh.best
	o.Observer = func(e *trace.Event) {
		if e.Kind == trace.Fault {
			numbers = append(numbers, e.Index)
		}
	}
	Run(o)
	return numbers
}

// allBut returns all numbers of planned faults that a run of the best one's
// length could have, but for those to keep.
func (sh *shrinker) allBut(keep []uint64) Spans {
	var s Spans
	next := uint64(1)
	for _, n := range keep {
		if n > next {
			s = append(s, Span{next, n - 1})
		}
		next = n + 1
	}
	return append(s, Span{next, lastPlanned})
}

// lastPlanned is more than any run plans.
const lastPlanned = 1 << 40

// trimmedSkip is the best run's Skip without what lies behind the run's end,
// which makes no difference.
func (sh *shrinker) trimmedSkip() Spans {
	skip := append(Spans(nil), sh.best.Skip...)
	planned := sh.result.Violation.Planned
	for k := len(skip); k > 0 && skip[k-1].Last > planned; k = len(skip) {
		if planned >= skip[k-1].First {
			skip[k-1].Last = planned
			break
		}
		skip = skip[:k-1]
	}
	return skip
}

// dropFamilies leaves out families of faults altogether, with their background.
func (sh *shrinker) dropFamilies() {
	for one := Faults(1); one < endOfFaults; one <<= 1 {
		if sh.best.Faults.has(one) {
			o := sh.best
			o.Faults &^= one
			sh.try(o)
		}
	}
}
