package grouplog

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

var (
	errClosed    = errors.New("closed")
	errDestroyed = errors.New("destroyed")
	errGap       = errors.New("gap")
	errDisk      = errors.New("the disk failed")
)

func newGroup(failure func() error) (*Shared, *Group[State, *State]) {
	s, g := &Shared{}, &Group[State, *State]{}
	s.Init(Errors{Closed: errClosed, Destroyed: errDestroyed, Gap: errGap}, failure, -1)
	st := State{Last: 3, Runs: []TermRun{{1, 1}, {3, 2}}, Changes: []uint64{2}}
	g.Init(s, 7, st)
	return s, g
}

// A read that failed is made again without writes beside it; what is then wrong is the
// disk's fault where that failed meanwhile. An answer is none of that.
func TestRead(t *testing.T) {
	var failed error
	_, g := newGroup(func() error { return failed })
	reads := 0
	read := func(errs ...error) error {
		reads = 0
		return g.Read(func() error {
			if reads++; reads == 2 {
				require.False(t, g.Write.TryLock())
			}
			return errs[reads-1]
		})
	}
	corrupt := errors.New("corrupt")
	require.NoError(t, read(nil))
	require.NoError(t, read(corrupt, nil))
	require.Equal(t, corrupt, read(corrupt, corrupt))
	for _, answer := range []error{raft.ErrCompacted, raft.ErrUnavailable, errDestroyed} {
		require.Equal(t, answer, read(answer))
		require.Equal(t, answer, read(corrupt, answer))
	}
	require.Equal(t, errDisk, g.Read(func() error {
		failed = errDisk
		return corrupt
	}))
	require.Equal(t, errDisk, read()) // it does not begin
	require.Zero(t, reads)
}

// A closed engine does what was left to do once, and nothing more; that it is closed is
// the answer even where a write failed before.
func TestSharedClose(t *testing.T) {
	var failed error
	s, g := newGroup(func() error { return failed })
	require.Equal(t, errDisk, s.Close(func() error { return errDisk }))
	require.NoError(t, s.Close(func() error { panic("again") }))
	_, err := g.LastIndex()
	require.Equal(t, errClosed, err)
	failed = errDisk
	require.Equal(t, errClosed, s.Acquire())
}

// Entries before the log are left out, and those that do not continue it refused.
func TestFresh(t *testing.T) {
	_, g := newGroup(func() error { return nil })
	st := State{Base: EntryID{5, 1}, Last: 8}
	for _, test := range []struct{ lo, hi, from uint64 }{
		{1, 1, 0}, {1, 6, 0}, {4, 8, 6}, {6, 7, 6}, {8, 12, 8}, {9, 12, 9},
	} {
		ents, err := g.Fresh(&st, entries(test.lo, test.hi, 1, 1))
		require.NoError(t, err)
		if test.from == 0 {
			require.Empty(t, ents)
			continue
		}
		require.Equal(t, test.from, ents[0].Index)
		require.Equal(t, test.hi-1, ents[len(ents)-1].Index)
	}
	_, err := g.Fresh(&st, entries(10, 12, 1, 1))
	require.ErrorIs(t, err, errGap)
	require.ErrorContains(t, err, "entry 10 of group 7 comes where 9 should")
	_, err = g.Fresh(&st, append(entries(6, 8, 1, 1), pb.Entry{Index: 9}))
	require.ErrorContains(t, err, "entry 9 of group 7 comes where 8 should")
}

// A copy of a state is not changed by what is made of another.
func TestStateIsCopied(t *testing.T) {
	_, g := newGroup(func() error { return nil })
	st := g.State
	for term := uint64(3); term < 6; term++ {
		other := st
		other.Truncate(3)
		other.Push(3, term, true)
		other.Push(4, term+1, true)
		require.Equal(t, []TermRun{{1, 1}, {3, term}, {4, term + 1}}, other.Runs)
		require.Equal(t, []uint64{2, 3, 4}, other.Changes)
		other.Compact(3)
		require.Equal(t, []TermRun{{4, term + 1}}, other.Runs)
	}
	require.Equal(t, []TermRun{{1, 1}, {3, 2}}, st.Runs)
	require.Equal(t, []uint64{2}, st.Changes)
	_, changes, begins := st.Compact(1)
	require.Empty(t, changes)
	require.Equal(t, &TermRun{2, 1}, begins)
}

// What a snapshot replaces, a compaction drops or a group had that is destroyed is not
// kept in memory.
func TestCacheFollowsTheLog(t *testing.T) {
	s, g := newGroup(func() error { return nil })
	s.cache.limit = 1 << 20
	for name, drop := range map[string]func(){
		"snapshot":    func() { g.Publish(&State{}, Written{Installed: true}) },
		"compaction":  func() { g.Publish(&State{}, Written{Compacted: 3}) },
		"destruction": g.Destroy,
	} {
		g.Publish(&State{}, Written{Entries: entries(1, 4, 1, 100)})
		require.Len(t, g.recent.ents, 3, name)
		drop()
		require.Empty(t, g.recent.ents, name)
		require.Zero(t, s.cache.total, name)
		require.NoError(t, s.CheckCache([]*Part{&g.Part}), name)
	}
}
