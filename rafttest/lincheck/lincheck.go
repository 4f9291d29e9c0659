// Package lincheck checks that what clients saw of a map of registers is
// linearizable (Herlihy and Wing; dissertation §6.3): that each operation can
// be thought to have taken effect at one instant between its call and its answer.
//
// Registers do not interact, so each key is checked by itself. Porcupine decides,
// except where the caller names the order in which operations took effect (Op.Pos)
// and that order explains all answers. Results are the same for the same calls.
package lincheck

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// Kind is what an operation does.
type Kind uint8

const (
	// Read returns the register's value.
	Read Kind = iota
	// Write sets the register to Op.Value.
	Write
	// CompareAndSwap sets the register to Op.Value if it is Op.Expect.
	CompareAndSwap
)

// String returns the kind's name.
func (k Kind) String() string {
	switch k {
	case Read:
		return "read"
	case Write:
		return "write"
	case CompareAndSwap:
		return "compare and swap"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Outcome is what the client knows.
type Outcome uint8

const (
	// OK: the client got the answer that is in Op.
	OK Outcome = iota
	// Failed: the operation took no effect and never will.
	Failed
	// Unknown: the operation may have taken effect, may do so later, or never.
	Unknown
)

// String returns the outcome's name.
func (o Outcome) String() string {
	switch o {
	case OK:
		return "ok"
	case Failed:
		return "failed"
	case Unknown:
		return "unknown"
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}

// Never is the Return of an operation that was not answered.
const Never int64 = math.MaxInt64

// Op is one operation of a client on the register of a key, which is 0 at first.
type Op struct {
	// Client and Key say who did it to what. Client is for reports alone.
	Client, Key uint64
	Kind        Kind
	// Value is what a Write or CompareAndSwap sets, Expect what the latter compares with.
	Value, Expect uint64
	// Call and Return are times of one clock, of any unit. Operations of which
	// one returns when the other is called overlap. Return does not count unless
	// Outcome is OK.
	Call, Return int64
	Outcome      Outcome
	// Result is the value that a Read returned, if its outcome is OK.
	Result uint64
	// Swapped says whether a CompareAndSwap found what it expected, if its
	// outcome is OK.
	Swapped bool
	// Pos is where in the replicated log the operation took effect, for a Read the
	// last position that it saw; 0 if that is not known. It is a hint: a wrong one
	// costs time and changes no result.
	Pos uint64
}

// String returns the operation in one line.
func (o Op) String() string {
	var b strings.Builder
	if o.Outcome == OK {
		fmt.Fprintf(&b, "[%d, %d]", o.Call, o.Return)
	} else {
		fmt.Fprintf(&b, "[%d, …]", o.Call)
	}
	fmt.Fprintf(&b, " client %d: ", o.Client)
	switch o.Kind {
	case Read:
		b.WriteString("read")
	case Write:
		fmt.Fprintf(&b, "write %d", o.Value)
	case CompareAndSwap:
		fmt.Fprintf(&b, "compare and swap %d to %d", o.Expect, o.Value)
	default:
		b.WriteString(o.Kind.String())
	}
	switch {
	case o.Outcome != OK:
		fmt.Fprintf(&b, ", %v", o.Outcome)
	case o.Kind == Read:
		fmt.Fprintf(&b, " = %d", o.Result)
	case o.Kind == CompareAndSwap:
		fmt.Fprintf(&b, " = %t", o.Swapped)
	}
	if o.Pos != 0 {
		fmt.Fprintf(&b, " (at %d)", o.Pos)
	}
	return b.String()
}

// constrains reports whether the operation can contradict others: what took no
// effect and returned nothing cannot.
func (o *Op) constrains() bool {
	return o.Outcome == OK || o.Outcome == Unknown && o.Kind != Read
}

// end is the last time at which the operation may have taken effect.
func (o *Op) end() int64 {
	if o.Outcome == OK {
		return o.Return
	}
	return Never
}

// apply returns the value of the register after the operation took effect on one
// of the given value, and whether its answer agrees with that.
func (o *Op) apply(value uint64) (uint64, bool) {
	switch o.Kind {
	case Write:
		return o.Value, true
	case CompareAndSwap:
		swapped := value == o.Expect
		if o.Outcome == OK && swapped != o.Swapped {
			return value, false
		}
		if swapped {
			return o.Value, true
		}
		return value, true
	}
	return value, o.Result == value
}

// check says what is wrong with the operation itself.
func (o *Op) check() error {
	switch {
	case o.Kind > CompareAndSwap:
		return fmt.Errorf("lincheck: unknown kind %d", o.Kind)
	case o.Outcome > Unknown:
		return fmt.Errorf("lincheck: unknown outcome %d", o.Outcome)
	case o.Outcome == OK && o.Return < o.Call:
		return fmt.Errorf("lincheck: an operation returned before its call: %v", *o)
	}
	return nil
}

// Violation is the error for a history that is not linearizable.
type Violation struct {
	Key uint64
	// Ops are some of the key's operations that already are not linearizable, by the
	// time of their call: up to the first answer that cannot be explained,
	// without reads and writes that have nothing to do with it.
	Ops []Op
	// Total is how many operations on the key were checked.
	Total int
}

// Error lists the operations, one to a line.
func (v *Violation) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "lincheck: key %d is not linearizable; these %d of its %d operations contradict each other:",
		v.Key, len(v.Ops), v.Total)
	for _, o := range v.Ops {
		fmt.Fprintf(&b, "\n\t%v", o)
	}
	return b.String()
}

// Errors that match with errors.Is.
var (
	// ErrUndecided: the history of a key took more steps to check than allowed,
	// and positions do not explain it.
	ErrUndecided = errors.New("lincheck: undecided")
	// ErrDisagreement: the positions explain a history that Porcupine finds no
	// explanation for, so that one of the two checks is wrong.
	ErrDisagreement = errors.New("lincheck: the two checks disagree")
	// ErrClosed: an operation on a key that is closed.
	ErrClosed = errors.New("lincheck: the key is closed")
)

// DefaultLimit of the steps of a search is far above what some forty operations
// of a few clients need (some hundred), and is reached within a second.
const DefaultLimit = 200_000

// Check reports whether the operations, in any order, are linearizable: the first
// fault by key is a *Violation, or matches ErrUndecided or ErrDisagreement.
// Porcupine checks every key. limit bounds the steps for each; 0 means
// DefaultLimit.
func Check(ops []Op, limit int) error {
	_, err := checkAll(ops, limit)
	return err
}

func checkAll(ops []Op, limit int) (Stats, error) {
	c := NewChecker(limit)
	c.every = 1
	for i := range ops {
		if err := c.Add(ops[i]); err != nil {
			return c.stats, err
		}
	}
	err := c.Finish()
	return c.stats, err
}
