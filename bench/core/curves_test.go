package core_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/bench/core"
	"github.com/quorate-raft/raft/bench/etcd36"
	"github.com/quorate-raft/raft/bench/ours"
)

// pointKeys are the rows of the first two points of each line; with alone, also of lines that only ours has.
func pointKeys(alone bool) []string {
	var keys []string
	for _, c := range core.Curves() {
		for _, l := range c.Lines {
			if alone || !l.Alone {
				for _, n := range c.Points[:2] {
					if n <= 1000 {
						keys = append(keys, l.Row(c, n).Key)
					}
				}
			}
		}
	}
	return keys
}

// Every point of a curve does what it says: it counts what was applied, or sent.
func TestPoints(t *testing.T) {
	rowsWork(t, ours.Library{}, pointKeys(true))
	rowsWork(t, etcd36.Library{}, pointKeys(false))
	work, err := core.NewWork(etcd36.Library{}, "host-asleep/1")
	require.Error(t, err, "it has no NextDeadline")
	require.Nil(t, work)
}

// Curves have points in rising order, and keys of their own.
func TestCurvesAreDistinct(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range core.Curves() {
		require.IsIncreasing(t, c.Points)
		require.Contains(t, c.Points, c.Few, c.Key)
		require.Contains(t, c.Points, c.From, c.Key)
		for _, l := range c.Lines {
			for _, n := range c.Points {
				key := l.Row(c, n).Key
				require.False(t, seen[key], key)
				seen[key] = true
			}
		}
	}
}

// counted is what an operation of ours allocates and sends, on any machine.
func counted(t *testing.T, key string, ops int) core.Sample {
	t.Helper()
	work, err := core.NewWork(ours.Library{}, key)
	require.NoError(t, err)
	s, err := core.Repeat(work, ops)
	require.NoError(t, err)
	return s
}

// An entry allocates nothing, in whole ones, and the same bytes, whatever its size and that of the log.
func TestEntriesCostTheSame(t *testing.T) {
	usual := counted(t, "propose/3", 2000)
	require.Less(t, usual.Allocs, 0.1)
	for _, key := range []string{"log/0", "log/1000", "log/10000", "log/100000", "payload/0", "payload/128", "payload/1024"} {
		s := counted(t, key, 2000)
		require.InDelta(t, usual.Allocs, s.Allocs, 0.05, key)
		require.InDelta(t, usual.Bytes, s.Bytes, 40, key)
		require.InDelta(t, usual.Messages, s.Messages, 0, key)
	}
}

// Data is never copied. Of large entries fewer share an array in memory, since one keeps the others from being freed:
// each replica makes an array for 16.
func TestLargeEntriesAreNotCopied(t *testing.T) {
	for _, key := range []string{"payload/8192", "payload/65536", "payload/262144"} {
		s := counted(t, key, 1000)
		require.Less(t, s.Bytes, 200.0, key)
		require.Less(t, s.Allocs, 3.0/16+0.02, key)
		require.InDelta(t, 6, s.Messages, 0, key)
	}
}

// What an entry allocates grows with the voters and no faster, as does what it sends: an append, its answer, and the
// commit index for each of the others.
func TestVotersCostTheSameEach(t *testing.T) {
	for _, voters := range []int{3, 9, 31, 63, 101} {
		s := counted(t, "propose/"+strconv.Itoa(voters), 2000)
		require.InDelta(t, 3*(voters-1), s.Messages, 0)
		require.Less(t, s.Allocs/float64(voters), 0.03, "%d voters", voters)
		require.Less(t, s.Bytes/float64(voters), 80.0, "%d voters", voters)
	}
}

// Proposals that are pending make no more messages, and each costs only its place in the arrays of three replicas.
func TestPendingProposalsShare(t *testing.T) {
	for _, pending := range []int{1, 4, 16, 64, 256, 1024} {
		s := counted(t, "pending/"+strconv.Itoa(pending), max(64, 4096/pending))
		require.InDelta(t, 6, s.Messages, 0)
		require.Less(t, s.Bytes/float64(pending), 200.0, "%d pending", pending)
		require.Less(t, s.Allocs, 3.1, "%d pending", pending)
	}
}

// Idle groups allocate nothing, however many there are.
func TestIdleGroupsAllocateNothing(t *testing.T) {
	for _, line := range []string{"tick-follower", "tick-leader", "host-ticks", "host-deadlines", "host-asleep"} {
		for _, groups := range []string{"1", "100", "1000"} {
			s := counted(t, line+"/"+groups, 4)
			require.Less(t, s.Allocs, 1.0, "%s/%s", line, groups)
		}
	}
}
