package rafttest

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// MemoryStorage keeps the contract. It is its own medium: closing loses nothing.
func TestMemoryStorageConforms(t *testing.T) {
	TestStorage(t, func(testing.TB) StorageMedium {
		s := Memory(raft.NewMemoryStorage())
		return StorageMedium{
			Open:  func() (Storage, error) { return s, nil },
			Close: func(Storage) error { return nil },
		}
	})
}

// A storage that loses in a crash what it may, and one whose snapshots take their time, keep the contract too:
// nothing is skipped, and what is optional is not demanded.
func TestStorageThatCrashesConforms(t *testing.T) {
	TestStorage(t, func(testing.TB) StorageMedium { return new(journal).medium() })
}

// What the contract allows is no fault: to return fewer entries than fit, to lose no unsynced write, to have no list
// of configuration entries, to be busy with a snapshot, to keep a configuration without an index as it came.
func TestStorageMayDoWhatTheContractAllows(t *testing.T) {
	pass := func(name string, checks []storageCheck, factory func() StorageMedium) {
		for _, check := range checks {
			require.NoError(t, check.verdict(factory), "%s: %s", name, check.rule)
		}
	}
	for _, f := range []storageFault{
		{"one entry at a time where there is a limit", "", func(s Storage, o *overlaid) {
			o.entries = func(lo, hi, maxSize uint64) ([]pb.Entry, error) {
				ents, err := s.Entries(lo, hi, maxSize)
				if maxSize != noLimit && err == nil {
					ents = ents[:1]
				}
				return ents, err
			}
		}},
		{"a snapshot that is being made", "", func(s Storage, o *overlaid) {
			var calls atomic.Uint64
			o.snapshot = func() (pb.Snapshot, error) {
				if calls.Add(1)%3 != 0 {
					return pb.Snapshot{}, raft.ErrSnapshotTemporarilyUnavailable
				}
				return s.Snapshot()
			}
		}},
		{"a configuration without an index", "", func(s Storage, o *overlaid) {
			o.initialState = func() (pb.HardState, pb.ConfState, error) {
				hs, cs, err := s.InitialState()
				if snap, _ := s.Snapshot(); snap.Metadata.ConfState.Index == 0 && snap.Metadata.Index == cs.Index {
					cs.Index = 0
				}
				return hs, cs, err
			}
		}},
	} {
		pass(f.name, storageChecks(), f.factory)
	}
	for _, f := range []durableFault{
		{"everything survives", "", journal{lose: func(*journal) {}}},
		{"nothing survives but what was synced", "", journal{lose: func(j *journal) { j.writes = j.writes[:j.synced] }}},
		{"snapshots survive on their own", "", journal{lose: func(j *journal) {
			kept := j.writes[:j.synced:j.synced]
			for _, w := range j.writes[j.synced:] {
				if w.kind == writeSave {
					break
				}
				if w.kind == writeSnapshot {
					kept = append(kept, w)
				}
			}
			j.writes = kept
		}}},
	} {
		crashing := slices.DeleteFunc(storageChecks(), func(c storageCheck) bool {
			return !strings.Contains(c.rule, "crash") && !strings.Contains(c.rule, "any sequence")
		})
		require.Len(t, crashing, 3)
		pass(f.name, crashing, f.factory)
	}
}

// Every fault is found by the subtest that names its rule: the suite is able to fail.
func TestStorageFindsFaults(t *testing.T) {
	checks := storageChecks()
	caught := map[string]bool{}
	find := func(name, rule string, factory func() StorageMedium) {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(checks, func(c storageCheck) bool { return c.rule == rule })
			require.GreaterOrEqual(t, i, 0, "no rule %q", rule)
			err := checks[i].verdict(factory)
			require.Error(t, err)
			require.False(t, errors.As(err, new(skipError)), "skipped")
			caught[rule] = true
			t.Log(err)
		})
	}
	for _, f := range slices.Concat(readFaults, writeFaults, snapshotFaults) {
		find(f.name, f.rule, f.factory)
	}
	for _, f := range durableFaults {
		find(f.name, f.rule, f.factory)
	}
	for _, check := range checks {
		require.True(t, caught[check.rule], "no fault for %q", check.rule)
	}
}

// A medium that lacks something says so in the subtests that need it, and in no others.
func TestStorageSkipsByName(t *testing.T) {
	var skipped []string
	for _, check := range storageChecks() {
		var skip skipError
		err := check.verdict(func() StorageMedium {
			s := Memory(raft.NewMemoryStorage())
			return StorageMedium{Open: func() (Storage, error) { return s, nil }}
		})
		if errors.As(err, &skip) {
			skipped = append(skipped, check.rule)
			continue
		}
		require.NoError(t, err, check.rule)
	}
	require.Equal(t, []string{
		"everything is there after closing and opening",
		"a synced write survives a crash with all before it",
		"a crash loses unsynced writes from the end only",
	}, skipped)
}
