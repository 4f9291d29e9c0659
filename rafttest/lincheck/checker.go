package lincheck

import (
	"fmt"
	"slices"
)

// crossCheck is how many keys there are to one that Porcupine checks although
// the positions explain it.
const crossCheck = 16

// Checker checks a history while it grows. It holds the operations of the keys
// that are not closed, and runs of closed keys. It is not safe for concurrent
// use.
//
// A key is best closed after some dozens of operations, or a handful of unknown
// outcome: each of these may double the search.
type Checker struct {
	open   map[uint64]*history
	spare  []*history
	closed ranges

	witness witness
	search  *search
	every   uint64 // Porcupine checks every such key

	stats Stats
}

// Stats counts what a Checker did.
type Stats struct {
	// Ops and Keys were checked.
	Ops, Keys uint64
	// Explained keys were explained by the positions of their operations.
	Explained uint64
	// Searched keys were checked by Porcupine, in Steps steps.
	Searched, Steps uint64
	// Unconfirmed keys were explained by positions, and Porcupine, asked to
	// confirm that, reached its limit.
	Unconfirmed uint64
}

type history struct{ ops []Op }

// NewChecker returns a Checker without operations. limit bounds the steps of
// Porcupine's search for one key; 0 means DefaultLimit.
func NewChecker(limit int) *Checker {
	if limit <= 0 {
		limit = DefaultLimit
	}
	return &Checker{open: map[uint64]*history{}, search: newSearch(limit), every: crossCheck}
}

// Stats returns what was done so far.
func (c *Checker) Stats() Stats { return c.stats }

// Add adds an operation, which has ended or will never be heard of again.
// Operations may be added in any order; that of their ends is the fastest. The
// error is ErrClosed, or says what is wrong with the operation itself.
func (c *Checker) Add(o Op) error {
	if err := o.check(); err != nil {
		return err
	}
	h := c.open[o.Key]
	if h == nil {
		if c.closed.contain(o.Key) {
			return fmt.Errorf("%w: %d: %v", ErrClosed, o.Key, o)
		}
		h = c.take()
		c.open[o.Key] = h
	}
	c.stats.Ops++
	if o.constrains() {
		h.ops = append(h.ops, o)
	}
	return nil
}

func (c *Checker) take() *history {
	if n := len(c.spare); n > 0 {
		h := c.spare[n-1]
		c.spare = c.spare[:n-1]
		return h
	}
	return &history{}
}

// Close checks the operations of a key and drops them; none may follow. Keys
// that are closed about in their order cost no memory. The error is a
// *Violation, or matches ErrUndecided or ErrDisagreement.
func (c *Checker) Close(key uint64) error {
	h := c.open[key]
	c.closed.add(key)
	if h == nil {
		return nil
	}
	delete(c.open, key)
	err := c.check(key, h.ops)
	h.ops = h.ops[:0]
	c.spare = append(c.spare, h)
	return err
}

// Finish closes all keys, by number, and returns the first error.
func (c *Checker) Finish() error {
	var keys []uint64
	for key := range c.open {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	var first error
	for _, key := range keys {
		if err := c.Close(key); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (c *Checker) check(key uint64, ops []Op) error {
	explained := c.witness.explains(ops)
	c.stats.Keys++
	if explained {
		c.stats.Explained++
		if c.stats.Keys%c.every != 0 {
			return nil
		}
	}
	verdict := c.search.decide(ops)
	c.stats.Searched++
	c.stats.Steps += uint64(c.search.steps)
	switch {
	case verdict == undecided && explained:
		c.stats.Unconfirmed++
	case verdict == undecided:
		if v := c.search.early(key, ops); v != nil {
			return v
		}
		return fmt.Errorf("%w: key %d, %d operations, more than %d steps", ErrUndecided, key, len(ops), c.search.limit)
	case verdict == violated && explained:
		return fmt.Errorf("%w: %w", ErrDisagreement, c.search.violation(key, ops))
	case verdict == violated:
		return c.search.violation(key, ops)
	}
	return nil
}

// ranges is a set of keys: disjoint, ascending intervals that do not touch.
type ranges [][2]uint64 // first and last

// find returns the first interval that ends at key or later.
func (r ranges) find(key uint64) (int, bool) {
	i, _ := slices.BinarySearchFunc(r, key, func(in [2]uint64, key uint64) int {
		if in[1] < key {
			return -1
		}
		return 1
	})
	return i, i < len(r) && r[i][0] <= key
}

func (r ranges) contain(key uint64) bool {
	_, ok := r.find(key)
	return ok
}

func (r *ranges) add(key uint64) {
	i, ok := r.find(key)
	if ok {
		return
	}
	s := *r
	left := i > 0 && s[i-1][1]+1 == key
	right := i < len(s) && s[i][0] == key+1
	switch {
	case left && right:
		s[i-1][1] = s[i][1]
		s = slices.Delete(s, i, i+1)
	case left:
		s[i-1][1] = key
	case right:
		s[i][0] = key
	default:
		s = slices.Insert(s, i, [2]uint64{key, key})
	}
	*r = s
}
