package pebblestore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// within fails the test if do takes too long: a host that waits for a failed disk
// for ever is as bad as one that trusts it.
func within(t *testing.T, what string, do func()) {
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
func failingRun(t *testing.T, e *Engine) (acked [2]uint64, failure error) {
	for round := uint64(1); ; round++ {
		for g := range acked {
			s, err := e.Group(uint64(g + 1))
			if err != nil {
				return acked, err
			}
			last := round
			err = s.Save(raft.Ready{
				Entries: entries(last, last+1, 1, 3000), HardState: pb.HardState{Term: 1, Vote: 1, Commit: acked[g]}, MustSync: round%3 == 0,
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
func TestEveryWriteThatFails(t *testing.T) {
	total := int64(0)
	{
		mem := &watchedFS{FS: vfs.NewCrashableMem()}
		e := open(t, small(mem))
		_, err := failingRun(t, e)
		require.NoError(t, err)
		require.NoError(t, e.Close())
		total = mem.ops.Load()
	}
	t.Log(total, "operations")
	step := total/int64(scaled(80)) + 1
	for at := int64(1); at <= total; at += step {
		t.Run(fmt.Sprint("operation ", at), func(t *testing.T) { failAt(t, at) })
	}
}

func failAt(t *testing.T, at int64) {
	disk := vfs.NewCrashableMem()
	w := &watchedFS{FS: disk}
	var failed atomic.Value
	var after atomic.Int64
	w.before = func(op, name string) error {
		if op == "remove" {
			return nil // not a write
		}
		if failed.Load() != nil {
			after.Add(1)
			return nil
		}
		if w.ops.Load() >= at && failed.CompareAndSwap(nil, filepath.Base(name)) {
			return syscall.ENOSPC
		}
		return nil
	}
	var acked [2]uint64
	within(t, "the run", func() {
		e, err := Open(testDir, small(w))
		if err == nil {
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
		require.Contains(t, err.Error(), failed.Load())
	})
	// What was under way may end; nothing begins. Directories are made by name
	// before the guard is there.
	require.LessOrEqual(t, after.Load(), int64(6), "operations after the failure of %v", failed.Load())

	left := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(uint64(at), 0))})
	e, err := Open(testDir, small(left))
	require.NoError(t, err)
	for g, want := range acked {
		s := group(t, e, uint64(g+1))
		last, err := s.LastIndex()
		require.NoError(t, err)
		require.GreaterOrEqual(t, last, want)
		require.NoError(t, s.Verify())
	}
	require.NoError(t, e.Close())
}

// After a failure everything returns it, for every group: reads too, since what
// they would see may be gone after a restart.
func TestFailureIsForGood(t *testing.T) {
	w := &watchedFS{FS: vfs.NewCrashableMem()}
	e := open(t, small(w))
	s, other := group(t, e, 1), group(t, e, 2)
	save(t, s, entries(1, 5, 1, 10))
	save(t, other, entries(1, 5, 1, 10))
	var fail atomic.Bool
	w.before = func(op, _ string) error {
		if op == "sync" && fail.CompareAndSwap(true, false) { // only once
			return syscall.EIO
		}
		return nil
	}
	fail.Store(true)
	err := s.Save(raft.Ready{Entries: entries(5, 6, 1, 10), MustSync: true})
	var failure *FailedError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, "sync", failure.Op)
	require.Contains(t, failure.File, ".log")
	require.ErrorIs(t, err, ErrFailed)
	require.ErrorIs(t, err, syscall.EIO)

	syncs := w.syncs.Load()
	for name, do := range map[string]func(s *Storage) error{
		"Save":           func(s *Storage) error { return s.Save(raft.Ready{HardState: pb.HardState{Term: 9}}) },
		"SetConfState":   func(s *Storage) error { return s.SetConfState(pb.ConfState{Voters: []uint64{1}, Index: 3}) },
		"CreateSnapshot": func(s *Storage) error { return s.CreateSnapshot(4, pb.ConfState{}, nil) },
		"Compact":        func(s *Storage) error { return s.Compact(2) },
		"InitialState":   func(s *Storage) error { _, _, err := s.InitialState(); return err },
		"Entries":        func(s *Storage) error { _, err := s.Entries(1, 2, 0); return err },
		"Term":           func(s *Storage) error { _, err := s.Term(1); return err },
		"FirstIndex":     func(s *Storage) error { _, err := s.FirstIndex(); return err },
		"LastIndex":      func(s *Storage) error { _, err := s.LastIndex(); return err },
		"Snapshot":       func(s *Storage) error { _, err := s.Snapshot(); return err },
		"ConfIndexes":    func(s *Storage) error { _, err := s.ConfEntryIndexes(1, 2); return err },
		"Verify":         func(s *Storage) error { return s.Verify() },
		"Group":          func(s *Storage) error { _, err := e.Group(3); return err },
		"Groups":         func(s *Storage) error { _, err := e.Groups(); return err },
		"DestroyGroup":   func(s *Storage) error { return e.DestroyGroup(2) },
		"Err":            func(s *Storage) error { return e.Err() },
	} {
		require.Equal(t, error(failure), do(s), name)
		require.Equal(t, error(failure), do(other), name)
	}
	within(t, "Close", func() { require.Equal(t, error(failure), e.Close()) })
	require.Equal(t, syncs, w.syncs.Load(), "the log was synced again")

	// The lock is free again.
	w.before = nil
	e = open(t, small(w))
	require.Len(t, all(t, group(t, e, 2)), 4)
	require.NoError(t, e.Close())
}

// What a node makes of it: it stops, and emits nothing more (docs/host-contract.md).
func TestNodeStopsWithItsStorage(t *testing.T) {
	w := &watchedFS{FS: vfs.NewCrashableMem()}
	e := open(t, small(w))
	s := group(t, e, 1)
	require.NoError(t, s.Save(raft.Ready{Snapshot: pb.Snapshot{Metadata: pb.SnapshotMetadata{
		Index: 1, Term: 1, ConfState: pb.ConfState{Voters: []uint64{1}, Index: 1},
	}}, MustSync: true}))
	node, err := raft.NewRawNode(&raft.Config{ID: 1, Storage: s, Applied: 1})
	require.NoError(t, err)
	require.NoError(t, node.Campaign())
	w.before = func(op, _ string) error {
		if op == "sync" {
			return syscall.EIO
		}
		return nil
	}
	rd := node.Ready()
	require.ErrorIs(t, s.Save(rd), ErrFailed)
	require.ErrorIs(t, e.Close(), ErrFailed)
}

// After Close nothing works, and a second one is harmless.
func TestClosed(t *testing.T) {
	e := open(t, small(vfs.NewMem()))
	s := group(t, e, 1)
	require.NoError(t, e.Close())
	require.NoError(t, e.Close())
	_, err := s.LastIndex()
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, s.Save(raft.Ready{MustSync: true}), ErrClosed)
	_, err = e.Group(1)
	require.ErrorIs(t, err, ErrClosed)
	require.True(t, errors.Is(e.DestroyGroup(1), ErrClosed))
}

// A read that was under way when a write failed may find what was not written: the
// disk failed, the data is not corrupt.
func TestReadsBesideAFailure(t *testing.T) {
	for name, read := range map[string]func(s *Storage) error{
		"Entries": func(s *Storage) error { _, err := s.Entries(1, 50, 1<<30); return err },
		"Verify":  func(s *Storage) error { return s.Verify() },
		"Snapshot": func(s *Storage) error {
			_, err := s.Snapshot()
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := small(vfs.NewMem())
			o.EntryCacheBytes = -1
			e := open(t, o)
			s := group(t, e, 1)
			save(t, s, entries(1, 50, 1, 100))
			require.NoError(t, s.CreateSnapshot(5, pb.ConfState{Voters: []uint64{1}}, nil))
			// As a file that was not written looks: it has no records.
			require.NoError(t, e.db.Delete(key{1, kindEntry, 20}.bytes(), nil))
			require.NoError(t, e.db.Delete(key{group: 1, kind: kindSnapshot}.bytes(), nil))
			require.ErrorIs(t, read(s), ErrCorrupt)
			s.log.Write.Lock() // which a read waits for before it says so
			result := make(chan error)
			go func() { result <- read(s) }()
			time.Sleep(20 * time.Millisecond)
			e.guard.Fail("write", "a file", syscall.ENOSPC)
			s.log.Write.Unlock()
			err := <-result
			require.ErrorIs(t, err, ErrFailed)
			require.ErrorIs(t, err, syscall.ENOSPC)
			require.NotErrorIs(t, err, ErrCorrupt)
			require.ErrorIs(t, e.Close(), ErrFailed)
		})
	}
}
