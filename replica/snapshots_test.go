package replica_test

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/replica"
)

// The file of a snapshot goes only when a crash cannot bring back that it is the
// latest one: CreateSnapshot need not be durable before the next synced Save.
func TestCrashAfterSnapshot(t *testing.T) {
	g := newGroup(t, 1, func(c *replica.Config) { c.TrailingEntries = 1 })
	g.stop(1)
	m := g.members[1]
	disk := newCrashDisk(1)
	m.storage = disk
	g.start(1)
	want := uint64(0)
	for range 4 {
		for range 2 {
			want = g.must(g.leader(), 3)
			require.NoError(t, m.replica.TakeSnapshot(g.context()))
		}
		disk.powerOff()
		g.stop(1)
		disk.writes = disk.writes[:disk.synced] // the worst case
		disk = disk.recovered()
		m.storage = disk
		g.start(1)
		require.NoError(t, m.replica.Read(g.context()))
		require.Equal(t, want, m.sums.value())
		names, err := os.ReadDir(m.dir)
		require.NoError(t, err)
		require.LessOrEqual(t, len(names), 1, "old snapshots stay")
	}
}

// A durable state machine's index is that of its last command. Entries after it that
// are no commands are not dropped from the log, or it would look at the next start
// as if it lacked a snapshot.
func TestDurableAfterEntriesWithoutCommands(t *testing.T) {
	g := newGroup(t, 1, func(c *replica.Config) { c.TrailingEntries = 1 })
	g.stop(1)
	m := g.members[1]
	m.disk = &sumsDisk{}
	g.start(1)
	g.must(g.leader(), 7)
	for id := uint64(2); id < 6; id++ {
		_, err := m.replica.ProposeConfChange(g.context(), pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: id})
		require.NoError(t, err)
	}
	require.NoError(t, m.replica.TakeSnapshot(g.context()))
	g.stop(1)
	g.start(1)
	require.NoError(t, m.replica.Read(g.context()))
	require.EqualValues(t, 7, m.sums.value())
}

// Settings as high as they can be mean never.
func TestNoSnapshots(t *testing.T) {
	g := newGroup(t, 1, func(c *replica.Config) {
		c.SnapshotEntries, c.SnapshotBytes, c.TrailingEntries = math.MaxUint64, math.MaxUint64, 1
	})
	m := g.members[1]
	g.must(g.leader(), 1)
	require.NoError(t, m.replica.TakeSnapshot(g.context()))
	before, err := m.storage.Snapshot()
	require.NoError(t, err)
	for i := range uint64(10) {
		g.must(m, i)
	}
	g.stop(1)
	after, err := m.storage.Snapshot()
	require.NoError(t, err)
	require.Equal(t, before, after)
}

// brokenCompact fails when the log is to be compacted.
type brokenCompact struct {
	replica.Storage
	err error
}

func (s brokenCompact) Compact(uint64) error { return s.err }

// A storage that failed may have lost what it says it holds, in whatever write: the
// replica stops. That there is nothing to compact is no fault.
func TestCompactionFails(t *testing.T) {
	for _, fault := range []error{errors.New("boom"), raft.ErrCompacted} {
		g := newGroup(t, 1, func(c *replica.Config) {
			c.TrailingEntries = 1
			c.Storage = brokenCompact{c.Storage, fault}
		})
		m := g.members[1]
		for i := range uint64(5) {
			g.must(g.leader(), i)
		}
		err := m.replica.TakeSnapshot(g.context())
		if errors.Is(fault, raft.ErrCompacted) {
			require.NoError(t, err)
			require.NoError(t, m.replica.Err())
			continue
		}
		require.ErrorIs(t, err, fault)
		<-m.replica.Done()
		require.ErrorIs(t, m.replica.Err(), fault)
	}
}

// endlessSums have a state without an end.
type endlessSums struct {
	*sums
	writing chan struct{}
}

func (m endlessSums) View() (replica.View, error) { return endlessView{m.writing}, nil }

type endlessView struct{ writing chan struct{} }

func (v endlessView) Close() error { return nil }

func (v endlessView) WriteTo(w io.Writer) (int64, error) {
	close(v.writing)
	for {
		if _, err := w.Write(make([]byte, 10)); err != nil {
			return 0, err
		}
	}
}

// Stop does not wait for a snapshot to be written.
func TestStopWhileASnapshotIsTaken(t *testing.T) {
	writing := make(chan struct{})
	g := newGroup(t, 1, func(c *replica.Config) { c.StateMachine = endlessSums{newSums(nil), writing} })
	m := g.members[1]
	g.leader()
	taken := make(chan error, 1)
	go func() { taken <- m.replica.TakeSnapshot(context.Background()) }()
	<-writing
	g.stop(1)
	require.ErrorIs(t, <-taken, replica.ErrStopped)
	names, err := os.ReadDir(m.dir)
	require.NoError(t, err)
	require.Empty(t, names, "something is left over")
}
