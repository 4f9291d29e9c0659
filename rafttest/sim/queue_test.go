package sim

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is due comes in the order of its time, and at one time in the order in
// which it was scheduled, however pushes and pops mix; a sorted list is the model.
func TestQueue(t *testing.T) {
	t.Parallel()
	var q queue
	var model []event
	r := newRandom(1, 1)
	for i := range uint64(20_000) {
		if len(model) > 0 && r.below(100) < 45 {
			e := q.pop()
			require.Equal(t, model[0].arg, e.arg)
			require.Equal(t, model[0].at, e.at)
			model = model[1:]
			continue
		}
		e := event{at: int64(r.below(50)), arg: i, kind: evUndo, node: int16(i % 7), life: uint32(i % 3)}
		q.push(e)
		at, _ := slices.BinarySearchFunc(model, e.at+1, func(e event, at int64) int { return int(e.at - at) })
		model = slices.Insert(model, at, e)
	}
	for _, want := range model {
		e := q.pop()
		e.seq = 0
		require.Equal(t, want, e)
	}
	require.Empty(t, q.heap)
}
