package enginetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Within fails the test if do takes too long: a host that waits for a failed disk
// for ever is as bad as one that trusts it.
func Within(t *testing.T, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s hangs", what)
	}
}

// failingRun writes to two groups until a write fails, and returns how far each
// had been acknowledged.
func failingRun(t *testing.T, e Engine) (acked [2]uint64, failure error) {
	for round := uint64(1); ; round++ {
		for g := range acked {
			s, err := e.Group(uint64(g + 1))
			if err != nil {
				return acked, err
			}
			last := round
			err = s.Save(raft.Ready{
				Entries: Entries(last, last+1, 1, 3000), HardState: pb.HardState{Term: 1, Vote: 1, Commit: acked[g]}, MustSync: round%3 == 0,
			})
			if err == nil && round%20 == 10 {
				err = s.CreateSnapshot(last, pb.ConfState{Voters: []uint64{1}, Index: 1}, nil)
			}
			if err == nil && round%20 == 11 {
				err = s.Compact(last - 5)
			}
			if err != nil {
				return acked, err
			}
			if round%3 == 0 {
				acked[g] = last
			}
		}
		if round > 150 {
			return acked, nil
		}
	}
}

// Whichever operation of the file system fails, and with it all later ones or
// none: the process lives, the host gets an error that tells which, nothing is
// tried again, and what was acknowledged is there when the directory is opened
// again. A failed sync that is followed by good ones is the case in which a
// second try would lie.
func testEveryWriteThatFails(t *testing.T, x *Subject) {
	total := int64(0)
	{
		mem := x.NewDisk()
		e := x.open(t, mem, Options{})
		_, err := failingRun(t, e)
		require.NoError(t, err)
		require.NoError(t, e.Close())
		total = mem.Ops()
	}
	t.Log(total, "operations")
	step := total/int64(x.Scaled(80)) + 1
	for at := int64(1); at <= total; at += step {
		t.Run(fmt.Sprint("operation ", at), func(t *testing.T) { failAt(t, x, at) })
	}
}

// attempt is an operation of the file system.
type attempt struct{ op, name string }

func failAt(t *testing.T, x *Subject, at int64) {
	w := x.NewDisk()
	var failed atomic.Pointer[attempt]
	var known atomic.Bool
	var after, again atomic.Int64
	w.Watch(func(op, name string) error {
		if op == "remove" {
			return nil // not a write
		}
		if it := failed.Load(); it != nil {
			if name == it.name {
				again.Add(1)
			}
			if known.Load() {
				after.Add(1)
			}
			return nil
		}
		if w.Ops() >= at && failed.CompareAndSwap(nil, &attempt{op, name}) {
			return syscall.ENOSPC
		}
		return nil
	}, nil)
	var acked [2]uint64
	Within(t, "the run", func() {
		e, err := x.Open(Dir, w, Options{Failed: func() { known.Store(true) }})
		if err != nil {
			known.Store(true) // also where it was nothing that is for good
		} else {
			acked, err = failingRun(t, e)
			if err == nil {
				err = e.Err() // in the background, after the last write
			}
			closed := e.Close()
			if err == nil {
				err = closed
			}
			require.Equal(t, e.Err(), closed)
		}
		if failed.Load() == nil {
			return // the background has its own pace
		}
		require.Error(t, err)
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.Contains(t, err.Error(), filepath.Base(failed.Load().name))
		require.True(t, known.Load())
	})
	// What failed is not tried again, from the moment on at which it failed; so nothing is
	// taken for durable by a second sync that the first has lost. Of the rest what was under
	// way may end, and nothing begins. Before who failed comes to say so the others cannot
	// know, however long that takes, and may do what they like elsewhere.
	require.Zero(t, again.Load(), "operations on the same file after the failure of %v", failed.Load())
	require.LessOrEqual(t, after.Load(), x.AfterFailure, "operations after the failure of %v was known", failed.Load())

	left := w.Crash(rand.New(rand.NewPCG(uint64(at), 0)))
	e, err := x.Open(Dir, left, Options{})
	require.NoError(t, err)
	for g, want := range acked {
		s := Group(t, e, uint64(g+1))
		last, err := s.LastIndex()
		require.NoError(t, err)
		require.GreaterOrEqual(t, last, want)
		require.NoError(t, s.Verify())
	}
	require.NoError(t, e.Close())
}

// After a failure everything returns it, for every group: reads too, since what
// they would see may be gone after a restart.
func testFailureIsForGood(t *testing.T, x *Subject) {
	w := x.NewDisk()
	e := x.open(t, w, Options{})
	s, other := Group(t, e, 1), Group(t, e, 2)
	Save(t, s, Entries(1, 5, 1, 10))
	Save(t, other, Entries(1, 5, 1, 10))
	var fail atomic.Bool
	w.Watch(func(op, _ string) error {
		if op == "sync" && fail.CompareAndSwap(true, false) { // only once
			return syscall.EIO
		}
		return nil
	}, nil)
	fail.Store(true)
	err := s.Save(raft.Ready{Entries: Entries(5, 6, 1, 10), MustSync: true})
	failure := e.Err()
	require.IsType(t, x.FailedType, failure)
	require.ErrorIs(t, err, failure)
	require.Regexp(t, "failed for good: "+x.FailedOp+" of .*"+regexp.QuoteMeta(x.LogSuffix)+": ", err.Error())
	require.ErrorIs(t, err, x.Errors.Failed)
	require.ErrorIs(t, err, syscall.EIO)

	syncs := w.LogSyncs()
	for name, do := range map[string]func(s Storage) error{
		"Save":           func(s Storage) error { return s.Save(raft.Ready{HardState: pb.HardState{Term: 9}}) },
		"SetConfState":   func(s Storage) error { return s.SetConfState(pb.ConfState{Voters: []uint64{1}, Index: 3}) },
		"CreateSnapshot": func(s Storage) error { return s.CreateSnapshot(4, pb.ConfState{}, nil) },
		"Compact":        func(s Storage) error { return s.Compact(2) },
		"InitialState":   func(s Storage) error { _, _, err := s.InitialState(); return err },
		"Entries":        func(s Storage) error { _, err := s.Entries(1, 2, 0); return err },
		"Term":           func(s Storage) error { _, err := s.Term(1); return err },
		"FirstIndex":     func(s Storage) error { _, err := s.FirstIndex(); return err },
		"LastIndex":      func(s Storage) error { _, err := s.LastIndex(); return err },
		"Snapshot":       func(s Storage) error { _, err := s.Snapshot(); return err },
		"ConfIndexes":    func(s Storage) error { _, err := s.ConfEntryIndexes(1, 2); return err },
		"Verify":         func(s Storage) error { return s.Verify() },
		"Group":          func(s Storage) error { _, err := e.Group(3); return err },
		"Groups":         func(s Storage) error { _, err := e.Groups(); return err },
		"DestroyGroup":   func(s Storage) error { return e.DestroyGroup(2) },
		"Err":            func(s Storage) error { return e.Err() },
	} {
		require.Equal(t, failure, do(s), name)
		require.Equal(t, failure, do(other), name)
	}
	Within(t, "Close", func() { require.Equal(t, failure, e.Close()) })
	require.Equal(t, syncs, w.LogSyncs(), "the log was synced again")

	// The lock is free again.
	w.Watch(nil, nil)
	e = x.open(t, w, Options{})
	require.Len(t, All(t, Group(t, e, 2)), 4)
	require.NoError(t, e.Close())
}

// What a node makes of it: it stops, and emits nothing more (docs/host-contract.md).
func testNodeStopsWithItsStorage(t *testing.T, x *Subject) {
	w := x.NewDisk()
	e := x.open(t, w, Options{})
	s := Group(t, e, 1)
	require.NoError(t, s.Save(raft.Ready{Snapshot: pb.Snapshot{Metadata: pb.SnapshotMetadata{
		Index: 1, Term: 1, ConfState: pb.ConfState{Voters: []uint64{1}, Index: 1},
	}}, MustSync: true}))
	node, err := raft.NewRawNode(&raft.Config{ID: 1, Storage: s, Applied: 1})
	require.NoError(t, err)
	require.NoError(t, node.Campaign())
	w.Watch(func(op, _ string) error {
		if op == "sync" {
			return syscall.EIO
		}
		return nil
	}, nil)
	rd := node.Ready()
	require.ErrorIs(t, s.Save(rd), x.Errors.Failed)
	require.ErrorIs(t, e.Close(), x.Errors.Failed)
}

// After Close nothing works, and a second one is harmless.
func testClosed(t *testing.T, x *Subject) {
	e := x.open(t, x.NewDisk(), Options{})
	s := Group(t, e, 1)
	require.NoError(t, e.Close())
	require.NoError(t, e.Close())
	_, err := s.LastIndex()
	require.ErrorIs(t, err, x.Errors.Closed)
	require.ErrorIs(t, s.Save(raft.Ready{MustSync: true}), x.Errors.Closed)
	_, err = e.Group(1)
	require.ErrorIs(t, err, x.Errors.Closed)
	require.True(t, errors.Is(e.DestroyGroup(1), x.Errors.Closed))
}
