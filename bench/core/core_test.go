package core_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/bench/core"
	"github.com/quorate-raft/raft/bench/etcd36"
	"github.com/quorate-raft/raft/bench/floor"
	"github.com/quorate-raft/raft/bench/ours"
)

var errFailed = errors.New("failed")

// rowsWork shows that every row's own check of what was applied holds, for a number of operations that is not 1.
func rowsWork[M any](t *testing.T, lib core.Library[M], keys []string) {
	for _, key := range keys {
		t.Run(lib.Name()+" "+key, func(t *testing.T) {
			work, err := core.NewWork(lib, key)
			require.NoError(t, err)
			require.NoError(t, core.Once(work, 3))
			require.NoError(t, core.Once(work, 2), "again")
		})
	}
}

func allKeys() []string {
	var keys []string
	for _, r := range core.Rows() {
		keys = append(keys, r.Key)
	}
	return keys
}

// Every row does what it says for every library: it counts what was applied.
func TestRows(t *testing.T) {
	rowsWork(t, ours.Library{}, allKeys())
	rowsWork(t, etcd36.Library{}, allKeys())
	rowsWork(t, floor.Library{}, floor.Rows)
	_, err := core.NewWork(ours.Library{}, "nothing")
	require.Error(t, err)
}

// A sample goes on until it took its time, and counts operations, allocations and messages.
func TestMeasure(t *testing.T) {
	messages, begun, checked := 0, 0, 0
	var keep []byte
	work := &core.Work{
		Max:      1000,
		Per:      2,
		Messages: &messages,
		Begin:    func(n int) error { begun += n; return nil },
		Run: func(n int) error {
			messages += 3 * n
			for range n {
				keep = make([]byte, 1024)
			}
			return nil
		},
		End: func(n int) error { checked += n; return nil },
	}
	s, err := core.Measure(work, 2*time.Millisecond)
	require.NoError(t, err)
	require.Len(t, keep, 1024)
	require.Equal(t, begun, checked)
	require.Equal(t, begun, s.Ops+64, "the first run does not count")
	require.InDelta(t, 3, s.Messages, 0)
	require.InDelta(t, 1, s.Allocs, 0.1)
	require.GreaterOrEqual(t, s.Value*float64(s.Ops)*2, 2e6)
}

// An operation that did not do what it should fails the sample.
func TestMeasureFails(t *testing.T) {
	work := &core.Work{Max: 10, Run: func(int) error { return nil }, End: func(int) error { return errFailed }}
	_, err := core.Measure(work, time.Millisecond)
	require.ErrorIs(t, err, errFailed)
	_, err = core.Repeat(work, 5)
	require.ErrorIs(t, err, errFailed)
}

// Goals are what a row has to reach on the machine that they were set on, and rows have names of their own.
func TestRowsAreDistinct(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range core.Rows() {
		require.False(t, seen[r.Key], r.Key)
		require.False(t, seen[r.Title], r.Title)
		seen[r.Key], seen[r.Title] = true, true
		if r.Goal.Value > 0 {
			require.Less(t, r.Goal.Ratio(), 1.0, r.Key)
		}
	}
	for _, key := range core.Counted() {
		row, ok := core.RowOf(key)
		require.True(t, ok, key)
		require.Positive(t, row.Goal.Instructions, key)
	}
}
