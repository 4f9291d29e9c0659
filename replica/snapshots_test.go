package replica_test

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
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
		g.until("the one before is applied", func() bool {
			_, err := m.replica.ProposeConfChange(g.context(), pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: id})
			return err == nil
		})
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

// A leader whose snapshot's file is gone or rotten makes another one when somebody
// needs it; a member cannot start from such a file.
func TestSnapshotFileLost(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"gone":   os.Remove,
		"rotten": func(path string) error { return os.WriteFile(path, []byte("qraftsn1 and nothing else"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t, 1, func(c *replica.Config) { c.TrailingEntries = 1 })
			m := g.members[1]
			for i := range uint64(10) {
				g.must(g.leader(), i)
			}
			require.NoError(t, m.replica.TakeSnapshot(g.context()))
			files, err := filepath.Glob(filepath.Join(m.dir, "*.snap"))
			require.NoError(t, err)
			require.Len(t, files, 1)
			require.NoError(t, spoil(files[0]))
			g.add(2)
			g.start(2)
			_, err = m.replica.ProposeConfChange(g.context(), pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 2, Context: []byte("node 2")})
			require.NoError(t, err)
			require.NoError(t, g.members[2].replica.Read(g.context()))
			require.EqualValues(t, 45, g.members[2].sums.value())

			g.stop(1)
			files, err = filepath.Glob(filepath.Join(m.dir, "*.snap"))
			require.NoError(t, err)
			require.Len(t, files, 1)
			require.NoError(t, spoil(files[0]))
			_, err = replica.Start(g.config(m))
			if name == "gone" {
				require.ErrorIs(t, err, replica.ErrSnapshotMissing)
			} else {
				require.ErrorIs(t, err, replica.ErrSnapshotCorrupt)
			}
		})
	}
}
