// Package enginetest is the tests that storage/wal and storage/pebblestore both have to
// pass, whatever they do with the disk: beside the contract of a storage, which
// rafttest.TestStorage checks for anyone's, what they promise of many groups, of
// crashes and of disks that fail.
package enginetest

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// Dir is the directory on a Disk that an engine is in.
const Dir = "db"

// Engine is what the engines have in common.
type Engine interface {
	Group(id uint64) (Storage, error)
	Groups() ([]uint64, error)
	DestroyGroup(id uint64) error
	Err() error
	Close() error
}

// Typed is an engine whose groups are of a type of its own.
type Typed[S Storage] interface {
	Group(id uint64) (S, error)
	Groups() ([]uint64, error)
	DestroyGroup(id uint64) error
	Err() error
	Close() error
}

type wrapped[S Storage] struct{ Typed[S] }

func (w wrapped[S]) Group(id uint64) (Storage, error) {
	s, err := w.Typed.Group(id)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (w wrapped[S]) unwrap() any { return w.Typed }

// Wrap makes an Engine of what an Open returns.
func Wrap[S Storage](e Typed[S], err error) (Engine, error) {
	if err != nil {
		return nil, err
	}
	return wrapped[S]{e}, nil
}

// Unwrap returns the engine that Wrap was given.
func Unwrap[E any](e Engine) E { return e.(interface{ unwrap() any }).unwrap().(E) }

// Storage is the log of a group.
type Storage interface {
	rafttest.Storage
	raft.ConfEntryIndexer
	ID() uint64
	Verify() error
}

// Disk is a file system in memory. It is safe for concurrent use.
type Disk interface {
	// Crash returns what is left after a loss of power now: of what was not synced
	// some, by chance.
	Crash(rnd *rand.Rand) Disk
	// Kill returns what is left after the end of the process: everything.
	Kill() Disk
	// Watch has before asked before whatever changes the file system, syncs included;
	// its error is the operation's. After is told of syncs that succeeded.
	Watch(before func(op, name string) error, after func(op, name string))
	// Ops counts the operations that before is asked of, LogSyncs the syncs of the log.
	Ops() int64
	LogSyncs() int64
	// Size is that of all files, in bytes.
	Size() int
}

// Options are how an engine is opened. For the rest they are such that little data
// makes it do all that it does.
type Options struct {
	ClusterID, NodeID uint64
	// EntryCacheBytes is as in the engines' Options; 0 for 2 KiB.
	EntryCacheBytes int64
	// FileBytes is about what goes into one file; 0 for as little as possible.
	FileBytes int64
	// LongLog keeps all that was written as long as nothing is compacted.
	LongLog bool
	// FreeSoon frees what was compacted soon, and not when that is convenient.
	FreeSoon bool
	// Still has no work done in the background that can do without.
	Still bool
	// Failed, if set, is called when the engine has taken note that it failed for good.
	Failed func()
}

// Logger returns the logger for an engine that is opened with o: what it logs when it has
// failed is how a test hears of it while Open is under way, and in the background.
func (o *Options) Logger() *zap.Logger {
	if o.Failed == nil {
		return nil
	}
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(io.Discard), zap.ErrorLevel)
	return zap.New(core, zap.Hooks(func(entry zapcore.Entry) error {
		if entry.Message == "storage failed for good" {
			o.Failed()
		}
		return nil
	}))
}

// Errors are an engine's, by the name that both give them.
type Errors struct{ Failed, Closed, Destroyed, Locked, Identity, TooLarge error }

// Subject is the engine under test.
type Subject struct {
	NewDisk func() Disk
	// Open opens a directory on a disk; nil for that of the operating system.
	Open func(dir string, d Disk, o Options) (Engine, error)
	// OpenDefault opens one on that of the operating system without any options.
	OpenDefault func(dir string) (Engine, error)
	// OnDisk are ways to do so with options as they are used, by name.
	OnDisk map[string]func(dir string) (Engine, error)

	Errors Errors
	// IdentityError is the one for a directory of a cluster and node, opened for others.
	IdentityError func(dir string, have, want [2]uint64) error
	// FailedType has the type of the error of an engine that failed. FailedOp is what a sync
	// of the log that fails is said to be, LogSuffix what the names of the log's files end in.
	FailedType          error
	FailedOp, LogSuffix string

	// CheckCache returns what is wrong with the cache's accounts, while nothing is written.
	CheckCache func(e Engine) error
	// LimitWrites makes the engine refuse larger writes than of so many bytes.
	LimitWrites func(e Engine, limit int64)
	// CheckFreed reports that no file was freed, after much was compacted. It may be nil.
	CheckFreed func(e Engine) error

	// AfterFailure is how many operations may follow once the engine knows that it failed:
	// those that others than who failed were about to do, having looked before.
	AfterFailure int64

	// Simulations is how many seeds the simulator runs.
	Simulations int
	// Nightly makes the tests that look at many seeds look at more of them.
	Nightly bool
}

// Run runs all of the tests.
func Run(t *testing.T, x *Subject) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, x *Subject)
	}{
		{"Storage", testStorage},
		{"StorageOnDisk", testStorageOnDisk},
		{"Groups", testGroups},
		{"DestroyGroup", testDestroyGroup},
		{"RandomGroups", testRandomGroups},
		{"IdleGroupsAreSmall", testIdleGroupsAreSmall},
		{"Locked", testLocked},
		{"LockedByAnyPath", testLockedByAnyPath},
		{"LockFileCannotBeMade", testLockFileCannotBeMade},
		{"Identity", testIdentity},
		{"SharedSyncs", testSharedSyncs},
		{"EmptySaveSyncs", testEmptySaveSyncs},
		{"SpaceIsFreed", testSpaceIsFreed},
		{"LargeWrites", testLargeWrites},
		{"TooLargeWrites", testTooLargeWrites},
		{"RecentEntriesAreNotRead", testRecentEntriesAreNotRead},
		{"CacheIsBounded", testCacheIsBounded},
		{"CacheFreesWhatItDrops", testCacheFreesWhatItDrops},
		{"ReadsBesideWrites", testReadsBesideWrites},
		{"ReadsStopAtTheLimit", testReadsStopAtTheLimit},
		{"CrashAtEverySync", testCrashAtEverySync},
		{"CrashWhileOpening", testCrashWhileOpening},
		{"CrashOfNewDirectory", testCrashOfNewDirectory},
		{"CrashesInARow", testCrashesInARow},
		{"Kill", testKill},
		{"EveryWriteThatFails", testEveryWriteThatFails},
		{"FailureIsForGood", testFailureIsForGood},
		{"NodeStopsWithItsStorage", testNodeStopsWithItsStorage},
		{"Closed", testClosed},
		{"Simulation", testSimulation},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, x) })
	}
}

// Scaled returns how many of something a test tries.
func (x *Subject) Scaled(n int) int {
	switch {
	case x.Nightly:
		return 25 * n
	case underRace:
		return max(1, n/4)
	}
	return n
}

func (x *Subject) open(t testing.TB, d Disk, o Options) Engine {
	t.Helper()
	e, err := x.Open(Dir, d, o)
	require.NoError(t, err)
	return e
}

// Group returns a group of e, which has it or can make it.
func Group(t testing.TB, e Engine, id uint64) Storage {
	t.Helper()
	s, err := e.Group(id)
	require.NoError(t, err)
	return s
}

// Entries returns the entries [lo, hi) of one term, with so many bytes of data.
func Entries(lo, hi, term uint64, size int) []pb.Entry {
	var ents []pb.Entry
	for i := lo; i < hi; i++ {
		ents = append(ents, pb.Entry{Index: i, Term: term, Data: fmt.Appendf(nil, "%d.%d.%0*d", term, i, size, 0)})
	}
	return ents
}

// Save saves entries, all of them committed, and waits until they are durable.
func Save(t testing.TB, s rafttest.Storage, ents []pb.Entry) {
	t.Helper()
	last := ents[len(ents)-1]
	require.NoError(t, s.Save(raft.Ready{
		Entries: ents, HardState: pb.HardState{Term: last.Term, Vote: 1, Commit: last.Index}, MustSync: true,
	}))
}

// All returns the whole log.
func All(t testing.TB, s rafttest.Storage) []pb.Entry {
	t.Helper()
	first, err := s.FirstIndex()
	require.NoError(t, err)
	last, err := s.LastIndex()
	require.NoError(t, err)
	if first > last {
		return nil
	}
	ents, err := s.Entries(first, last+1, ^uint64(0))
	require.NoError(t, err)
	return ents
}
