package rafttest

import (
	"errors"
	"fmt"
	"runtime/debug"
	"testing"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Storage is a raft.Storage with the writes that a host makes to it. Writes are
// called one at a time, perhaps while the node reads. What is passed in does
// not change afterwards, so a storage may keep it.
//
// A write that returns one of the errors named here has changed nothing. After
// any other error what is stored is unknown, and the host stops.
type Storage interface {
	raft.Storage

	// Save writes what rd asks to persist, all of it or nothing: Snapshot,
	// unless IsEmptySnap, in place of the whole log; then Entries in place of
	// the log from the first one's index on; then HardState, unless
	// IsEmptyHardState, which means that it did not change.
	//
	// If rd.MustSync, this write and all before it are durable when Save
	// returns. A crash may lose later ones: a Save only together with all Saves
	// that follow it, and a snapshot never before a compaction that relies on it.
	//
	// It returns ErrSnapOutOfDate if the snapshot in place is as new as
	// rd.Snapshot, and any error if Entries would leave a gap. Entries before
	// FirstIndex are skipped: a snapshot covers them.
	Save(rd raft.Ready) error
	// SetConfState keeps the configuration that ApplyConfChange returned, for
	// InitialState. It changes nothing if the one in place has a higher index. One
	// that came in a snapshot without an index counts as being of the snapshot's.
	SetConfState(cs pb.ConfState) error
	// CreateSnapshot keeps a snapshot of this node's own state machine at index i,
	// which is applied, with the configuration cs of that index. It drops no
	// entries. ErrSnapOutOfDate if the snapshot in place is as new,
	// ErrUnavailable if the log ends before i.
	CreateSnapshot(i uint64, cs pb.ConfState, data []byte) error
	// Compact drops the entries up to and including i, which a snapshot covers; the
	// term of i stays known. ErrCompacted if i is before FirstIndex,
	// ErrUnavailable if the log ends before i.
	Compact(i uint64) error
}

// StorageMedium is where one storage keeps its data, and how to end it. Its
// functions are not called concurrently.
type StorageMedium struct {
	// Open returns the storage: an empty one at first, later one on what the
	// last one left behind. The last one was closed, or crashed. Required.
	Open func() (Storage, error)
	// Close ends s, which Open returned last, in good order: the next Open finds
	// all that was written. Nil says that nothing outlives s, and skips the
	// subtests that need it.
	Close func(s Storage) error
	// Crash ends s, which Open returned last, like a loss of power: the next Open
	// finds what was durable, and perhaps some of the rest. Nil says that a
	// crash cannot be simulated, and skips the subtests that need it. What
	// Crash loses should differ from call to call, by a seed.
	Crash func(s Storage)
}

// TestStorage checks, in one subtest for each rule, that storages keep the
// contracts of raft.Storage and Storage. factory returns a new, empty medium at
// every call and cleans up with t.Cleanup; several may be in use at a time.
//
//	func TestMyStorage(t *testing.T) {
//		rafttest.TestStorage(t, func(t testing.TB) rafttest.StorageMedium {
//			dir := t.TempDir()
//			return rafttest.StorageMedium{
//				Open:  func() (rafttest.Storage, error) { return mystorage.Open(dir) },
//				Close: func(s rafttest.Storage) error { return s.(*mystorage.Storage).Close() },
//			}
//		})
//	}
//
// Run it with the race detector too: one subtest reads while it writes.
func TestStorage(t *testing.T, factory func(t testing.TB) StorageMedium) {
	for _, check := range storageChecks() {
		t.Run(check.rule, func(t *testing.T) {
			err := check.verdict(func() StorageMedium { return factory(t) })
			var skip skipError
			switch {
			case errors.As(err, &skip):
				t.Skip(err)
			case err != nil:
				t.Fatal(err)
			}
		})
	}
}

// storageCheck is one rule.
type storageCheck struct {
	rule  string
	check func(p *probe)
}

func storageChecks() []storageCheck {
	return []storageCheck{
		{"a new storage is empty", checkEmpty},
		{"terms are known from the entry before the first to the last", checkTerms},
		{"entries are those of the range", checkRanges},
		{"entries fit into the size asked for, but for the first", checkSizes},
		{"a write replaces the log from its first entry on", checkOverwrite},
		{"entries before the start of the log are skipped", checkCovered},
		{"a gap is refused and nothing of its Ready is written", checkGap},
		{"entries that were handed out never change", checkImmutable},
		{"an empty hard state leaves the one in place", checkHardState},
		{"a received snapshot replaces the whole log", checkInstall},
		{"a stale snapshot is refused and nothing of its Ready is written", checkStaleSnapshot},
		{"the configuration with the highest index is kept", checkConfState},
		{"a snapshot is made of an applied index and drops nothing", checkCreateSnapshot},
		{"compaction drops entries and keeps the term before the first", checkCompact},
		{"the snapshot reaches the start of the log", checkSnapshotReach},
		{"the list of configuration entries agrees with the log", checkConfIndexes},
		{"readers see whole writes", checkReaders},
		{"everything is there after closing and opening", checkReopen},
		{"a synced write survives a crash with all before it", checkSynced},
		{"a crash loses unsynced writes from the end only", checkUnsynced},
		{"any sequence of writes leaves what a plain model holds", checkRandom},
		{"three nodes elect, commit, restart and go on", checkGroup},
	}
}

// verdict runs the check on media from factory and returns what is wrong: a
// skipError if it needs what the medium cannot do.
func (c *storageCheck) verdict(factory func() StorageMedium) (err error) {
	p := &probe{factory: factory, medium: factory()}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case skipError:
			err = r
		case failure:
			err = r.error
		default:
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
		if closed := p.close(); err == nil {
			err = closed
		}
	}()
	p.open()
	c.check(p)
	return nil
}

// skipError says why a check cannot be made.
type skipError string

func (e skipError) Error() string { return string(e) }

// failure carries what is wrong out of a check.
type failure struct{ error }
