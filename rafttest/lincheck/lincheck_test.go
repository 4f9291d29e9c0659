package lincheck

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func read(client uint64, call, end int64, result uint64) Op {
	return Op{Client: client, Key: 1, Kind: Read, Call: call, Return: end, Result: result}
}

func set(client uint64, call, end int64, value uint64) Op {
	return Op{Client: client, Key: 1, Kind: Write, Call: call, Return: end, Value: value}
}

func swap(client uint64, call, end int64, expect, value uint64, swapped bool) Op {
	return Op{Client: client, Key: 1, Kind: CompareAndSwap, Call: call, Return: end, Expect: expect, Value: value, Swapped: swapped}
}

func unknown(o Op) Op {
	o.Outcome, o.Result, o.Swapped = Unknown, 0, false // its return, when the client gave up, does not count
	return o
}

func failed(o Op) Op {
	o.Outcome = Failed
	return o
}

// Histories that are known to be linearizable or not (Herlihy and Wing, "Linearizability", §2; dissertation §6.3 for
// retries), and what the report of a violation is cut down to.
var known = []struct {
	name string
	ops  []Op
	want []Op // the report, or nil if the history is linearizable
}{
	{"nothing", nil, nil},
	{"the initial value", []Op{read(1, 1, 2, 0)}, nil},
	{"another initial value", []Op{read(1, 1, 2, 7)}, []Op{read(1, 1, 2, 7)}},
	{"one after the other", []Op{set(1, 1, 2, 5), read(2, 3, 4, 5), set(1, 5, 6, 6), read(2, 7, 8, 6)}, nil},
	{"stale read", []Op{read(2, 0, 1, 0), set(1, 1, 2, 5), read(2, 3, 4, 0), read(1, 4, 5, 5)},
		[]Op{set(1, 1, 2, 5), read(2, 3, 4, 0)}},
	{"concurrent read of the old value", []Op{set(1, 1, 4, 5), read(2, 2, 3, 0)}, nil},
	{"concurrent read of the new value", []Op{set(1, 1, 4, 5), read(2, 2, 3, 5)}, nil},
	{"a read that touches the write", []Op{set(1, 1, 2, 5), read(2, 2, 3, 0)}, nil},
	{"new, then old", []Op{set(1, 1, 9, 5), read(2, 2, 3, 5), read(3, 4, 5, 0)},
		[]Op{unknown(set(1, 1, 9, 5)), read(2, 2, 3, 5), read(3, 4, 5, 0)}},
	{"read from the future", []Op{read(2, 1, 2, 5), set(1, 3, 4, 5), read(2, 5, 6, 5)}, []Op{read(2, 1, 2, 5)}},
	{"lost update", []Op{set(1, 1, 2, 5), set(2, 3, 4, 6), read(3, 5, 6, 5)},
		[]Op{set(1, 1, 2, 5), set(2, 3, 4, 6), read(3, 5, 6, 5)}},
	{"double-applied retry", []Op{set(1, 1, 2, 5), set(2, 3, 4, 6), read(3, 5, 6, 6), read(3, 7, 8, 5)},
		[]Op{set(1, 1, 2, 5), set(2, 3, 4, 6), read(3, 7, 8, 5)}},
	{"both swaps won", []Op{swap(1, 1, 4, 0, 5, true), swap(2, 2, 3, 0, 6, true)},
		[]Op{swap(1, 1, 4, 0, 5, true), swap(2, 2, 3, 0, 6, true)}},
	{"one swap won", []Op{swap(1, 1, 4, 0, 5, false), swap(2, 2, 3, 0, 6, true)}, nil},
	{"both swaps lost", []Op{swap(1, 1, 4, 0, 5, false), swap(2, 2, 3, 0, 6, false)}, []Op{swap(1, 1, 4, 0, 5, false)}},
	{"a write that a lost swap may need", []Op{set(1, 1, 2, 5), set(1, 3, 4, 0), swap(2, 5, 6, 0, 7, false)},
		[]Op{set(1, 1, 2, 5), set(1, 3, 4, 0), swap(2, 5, 6, 0, 7, false)}},
	{"a swap to the same value", []Op{swap(1, 1, 2, 0, 0, true), swap(2, 3, 4, 0, 5, true), read(1, 5, 6, 5)}, nil},
	{"unknown write takes effect late", []Op{unknown(set(1, 1, 0, 5)), read(2, 2, 3, 0), read(2, 4, 5, 0), read(2, 90, 91, 5)}, nil},
	{"unknown write never takes effect", []Op{unknown(set(1, 1, 0, 5)), set(2, 2, 3, 6), read(2, 4, 5, 6)}, nil},
	{"unknown write before its call", []Op{read(2, 1, 2, 5), unknown(set(1, 3, 0, 5))}, []Op{read(2, 1, 2, 5)}},
	{"unknown write seen and unseen", []Op{unknown(set(1, 1, 0, 5)), read(2, 2, 3, 0), read(2, 4, 5, 5), read(2, 6, 7, 0)},
		[]Op{unknown(set(1, 1, 0, 5)), read(2, 4, 5, 5), read(2, 6, 7, 0)}},
	{"unknown swap that won", []Op{unknown(swap(1, 1, 0, 0, 5, false)), read(2, 2, 3, 5)}, nil},
	{"unknown swap that could not win", []Op{set(2, 0, 1, 1), unknown(swap(1, 2, 0, 0, 5, false)), read(2, 3, 4, 5)},
		[]Op{set(2, 0, 1, 1), unknown(swap(1, 2, 0, 0, 5, false)), read(2, 3, 4, 5)}},
	{"unknown swap that lost", []Op{unknown(swap(1, 1, 0, 3, 5, false)), read(2, 2, 3, 0)}, nil},
	{"unknown read", []Op{unknown(read(1, 1, 0, 77))}, nil},
	{"failed write is not seen", []Op{failed(set(1, 1, 2, 5)), read(2, 3, 4, 0)}, nil},
	{"failed write is seen", []Op{failed(set(1, 1, 2, 5)), read(2, 3, 4, 5)}, []Op{read(2, 3, 4, 5)}},
}

func TestKnownHistories(t *testing.T) {
	for _, test := range known {
		t.Run(test.name, func(t *testing.T) {
			err := Check(test.ops, 0)
			require.Equal(t, linearizableByForce(test.ops), test.want == nil, "brute force")
			if test.want == nil {
				require.NoError(t, err)
				return
			}
			var v *Violation
			require.ErrorAs(t, err, &v)
			require.Equal(t, uint64(1), v.Key)
			require.Equal(t, test.want, v.Ops)
			require.ErrorContains(t, err, "key 1 is not linearizable")
			require.ErrorContains(t, err, test.want[0].String())
		})
	}
}

// linearizableByForce tries every order: an operation may come next if none that
// is left returned before its call. What is unknown may be left for ever.
func linearizableByForce(ops []Op) bool {
	var try func(left []Op, value uint64) bool
	try = func(left []Op, value uint64) bool {
		if !slices.ContainsFunc(left, func(o Op) bool { return o.Outcome == OK }) {
			return true
		}
		for i, o := range left {
			if slices.ContainsFunc(left, func(r Op) bool { return r.Outcome == OK && r.Return < o.Call }) {
				continue
			}
			next := o.Value
			switch o.Kind {
			case Read:
				next = value
				if o.Result != value {
					continue
				}
			case CompareAndSwap:
				if o.Outcome == OK && o.Swapped != (o.Expect == value) {
					continue
				}
				if o.Expect != value {
					next = value
				}
			}
			if try(slices.Delete(slices.Clone(left), i, i+1), next) {
				return true
			}
		}
		return false
	}
	ops = slices.DeleteFunc(slices.Clone(ops), func(o Op) bool {
		return o.Outcome == Failed || o.Outcome == Unknown && o.Kind == Read
	})
	return try(ops, 0)
}

// simulated returns n operations of clients on one correct register: each takes effect at a random time between call
// and return, in the order of Pos. One in unknowns has no answer, and one in two of those no effect.
func simulated(rnd *rand.Rand, key uint64, n, clients, values, unknowns int) []Op {
	type effect struct {
		at int64
		op int
	}
	ops := make([]Op, n)
	var effects []effect
	now := make([]int64, clients)
	for i := range ops {
		client := slices.Index(now, slices.Min(now))
		o := &ops[i]
		*o = Op{
			Client: uint64(client), Key: key, Kind: Kind(rnd.IntN(3)),
			Value: 1 + rnd.Uint64N(uint64(values)), Expect: rnd.Uint64N(uint64(values) + 1),
			Call: now[client],
		}
		length := 1 + rnd.Int64N(20)
		o.Return = o.Call + length
		at := o.Call + rnd.Int64N(length+1)
		now[client] = o.Return + rnd.Int64N(4)
		if unknowns > 0 && rnd.IntN(unknowns) == 0 {
			o.Outcome = Unknown
			if rnd.IntN(2) == 0 {
				o.Return = Never
			}
			at += rnd.Int64N(100) // long after the client gave up
			if rnd.IntN(2) == 0 {
				continue
			}
		}
		effects = append(effects, effect{at, i})
	}
	slices.SortStableFunc(effects, func(a, b effect) int { return int(a.at - b.at) })
	value := uint64(0)
	for pos, e := range effects {
		o := &ops[e.op]
		o.Pos = uint64(pos + 1)
		switch {
		case o.Kind == Read && o.Outcome == OK:
			o.Result = value
		case o.Kind == Write:
			value = o.Value
		case o.Kind == CompareAndSwap && o.Expect == value:
			value = o.Value
			o.Swapped = o.Outcome == OK
		}
	}
	return ops
}

// What a correct register answers is linearizable, whether or not it tells positions; and positions alone explain it.
func TestCorrectRegister(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		ops := simulated(rnd, seed, 1+rnd.IntN(60), 1+rnd.IntN(5), 1+rnd.IntN(10), []int{0, 4, 6, 12}[rnd.IntN(4)])
		var w witness
		require.True(t, w.explains(slices.DeleteFunc(slices.Clone(ops), func(o Op) bool { return !o.constrains() })))
		rnd.Shuffle(len(ops), func(i, j int) { ops[i], ops[j] = ops[j], ops[i] })
		require.NoError(t, Check(ops, 0), "seed %d", seed)
		for i := range ops {
			ops[i].Pos = 0
		}
		require.NoError(t, Check(ops, 0), "seed %d", seed)
	}
}

// One wrong answer among correct ones is found exactly if no order explains it. Positions, right or wrong, change
// nothing, and never explain what has no explanation.
func TestOneWrongAnswer(t *testing.T) {
	found, fine := 0, 0
	for seed := range uint64(4000) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		ops := simulated(rnd, 1, 2+rnd.IntN(6), 1+rnd.IntN(4), 3, 5)
		mutate(rnd, &ops[rnd.IntN(len(ops))])
		want := linearizableByForce(ops)
		err := Check(ops, 0)
		if want {
			fine++
			require.NoError(t, err, "seed %d: %v", seed, ops)
			continue
		}
		found++
		var v *Violation
		require.ErrorAs(t, err, &v, "seed %d: %v", seed, ops)
		require.NotErrorIs(t, err, ErrDisagreement, "seed %d: %v", seed, ops)
		require.False(t, linearizableByForce(v.Ops), "seed %d: the report is no violation", seed)
	}
	require.Greater(t, found, 500)
	require.Greater(t, fine, 500)
}

func mutate(rnd *rand.Rand, o *Op) {
	switch rnd.IntN(5) {
	case 0:
		o.Pos = rnd.Uint64N(6)
	case 1:
		o.Return = max(o.Call, o.Return-rnd.Int64N(15))
	default:
		if o.Kind == CompareAndSwap {
			o.Swapped = !o.Swapped && o.Outcome == OK
		} else {
			o.Result, o.Value = rnd.Uint64N(4), rnd.Uint64N(4)
		}
	}
}

// An operation that makes no sense is refused, and a search that takes too long is never taken for a pass.
func TestRefusals(t *testing.T) {
	require.ErrorContains(t, Check([]Op{{Kind: 3}}, 0), "unknown kind 3")
	require.ErrorContains(t, Check([]Op{{Outcome: 3}}, 0), "unknown outcome 3")
	require.ErrorContains(t, Check([]Op{read(1, 2, 1, 0)}, 0), "before its call")

	hard := hardHistory(0)
	err := Check(hard, 10_000)
	require.ErrorIs(t, err, ErrUndecided)
	require.Equal(t, err, Check(hard, 10_000), "the bound is the same every time")
	var v *Violation
	require.NotErrorAs(t, err, &v)

	// A violation before it becomes hard is found all the same.
	err = Check(append(hardHistory(100), read(1, 1, 2, 99)), 10_000)
	require.NotErrorIs(t, err, ErrUndecided)
	require.ErrorAs(t, err, &v)
	require.Equal(t, []Op{read(1, 1, 2, 99)}, v.Ops)
	require.Equal(t, 33, v.Total)
}

// hardHistory is a violation that only all orders of many unknown writes, each of which a lost swap may need, can show.
func hardHistory(at int64) []Op {
	var ops []Op
	for i := range 30 {
		ops = append(ops, unknown(set(uint64(i), at+1, 0, uint64(i+1))))
	}
	return append(ops, swap(1, at+2, at+3, 50, 1, false), read(1, at+4, at+5, 99))
}

// What is unknown and not needed by any answer does not make the search harder.
func TestUnknownAndUnseen(t *testing.T) {
	var ops []Op
	for i := range 100 {
		ops = append(ops, unknown(set(uint64(i), 1, 0, uint64(i+1))), unknown(swap(uint64(i), 1, 0, 500, uint64(i+101), false)))
	}
	require.NoError(t, Check(append(ops, read(1, 2, 3, 0), read(1, 4, 5, 7)), 100))
	var v *Violation
	require.ErrorAs(t, Check(append(ops, read(1, 2, 3, 7), read(1, 4, 5, 0)), 100), &v)
	require.Len(t, v.Ops, 3)
}

// A report can be read.
func TestStrings(t *testing.T) {
	for want, o := range map[string]Op{
		"[1, 2] client 3: read = 4":                         read(3, 1, 2, 4),
		"[1, …] client 3: write 4, unknown (at 9)":          {Client: 3, Kind: Write, Value: 4, Call: 1, Outcome: Unknown, Pos: 9},
		"[1, …] client 3: write 4, failed":                  failed(set(3, 1, 2, 4)),
		"[1, 2] client 3: compare and swap 4 to 5 = true":   swap(3, 1, 2, 4, 5, true),
		"[1, …] client 3: compare and swap 4 to 5, unknown": unknown(swap(3, 1, 2, 4, 5, true)),
		"[1, 2] client 3: Kind(7)":                          {Client: 3, Kind: 7, Call: 1, Return: 2},
	} {
		require.Equal(t, want, o.String())
	}
	require.Equal(t, "read write compare and swap", fmt.Sprint(Read, " ", Write, " ", CompareAndSwap))
	require.Equal(t, "ok failed Outcome(9)", fmt.Sprint(OK, " ", Failed, " ", Outcome(9)))
}
