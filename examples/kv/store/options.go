package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

// Options are how a Store is opened. The zero value is fine. None of them changes
// what commands do, so they may differ from server to server.
type Options struct {
	// ClusterID and NodeID are whom the directory is for. They are written to a
	// new directory, or one that was without, and compared later: another one is
	// an IdentityError. Zero is not compared. They are no part of the state, so that a
	// View does not have them and a Restore leaves them. Rebrand changes the cluster.
	ClusterID, NodeID uint64

	// HistoryEvents and HistoryBytes bound the changes that are kept in memory for
	// Watch. Default 10,000 events and 16 MiB.
	HistoryEvents, HistoryBytes int
	// CacheBytes is how much of its files Pebble keeps in memory. Default 32 MiB.
	CacheBytes int64
	// MemTableBytes is how much is written before Pebble moves it from its log to
	// a sorted file. Default 16 MiB.
	MemTableBytes uint64

	// FS is the file system. Default: that of the operating system.
	FS vfs.FS
	// Logger gets what happens: Pebble's messages at level debug, failures at level
	// error. Default: none.
	Logger *zap.Logger
	// Pebble, if set, is called last with the options that Pebble is opened with. Of these
	// FS, Lock, Logger and EventListener are not to be changed.
	Pebble func(*pebble.Options)

	// maxClients and maxOpen are MaxClients and MaxOpenMembers but in tests.
	maxClients, maxOpen int
	// mustExist keeps Open from making a directory.
	mustExist bool
	// rebrand is a cluster whose the directory may be instead of ClusterID.
	rebrand uint64
}

// Validate says what is wrong with the options, all of it. Nil options are fine.
func (o *Options) Validate() error {
	if o == nil {
		return nil
	}
	var faults []error
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"HistoryEvents", int64(o.HistoryEvents)},
		{"HistoryBytes", int64(o.HistoryBytes)},
		{"CacheBytes", o.CacheBytes},
	} {
		if f.value < 0 {
			faults = append(faults, fmt.Errorf("%s (%d) must not be negative", f.name, f.value))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("store: invalid options: %w", err)
	}
	return nil
}

// withDefaults returns the options with defaults filled in.
func (o *Options) withDefaults() Options {
	var filled Options
	if o != nil {
		filled = *o
	}
	setDefault(&filled.HistoryEvents, 10_000)
	setDefault(&filled.HistoryBytes, 16<<20)
	setDefault(&filled.CacheBytes, 32<<20)
	setDefault(&filled.MemTableBytes, 16<<20)
	setDefault(&filled.maxClients, MaxClients)
	setDefault(&filled.maxOpen, MaxOpenMembers)
	if filled.FS == nil {
		filled.FS = vfs.Default
	}
	if filled.Logger == nil {
		filled.Logger = zap.NewNop()
	}
	return filled
}

func setDefault[T int | int64 | uint64](option *T, value T) {
	if *option == 0 {
		*option = value
	}
}

// pebbleOptions returns what Pebble is opened with.
func (s *Store) pebbleOptions() *pebble.Options {
	p := &pebble.Options{
		FS:     s.guard,
		Logger: s.guard.Logger(s.o.Logger),
		EventListener: &pebble.EventListener{
			BackgroundError: s.guard.BackgroundError,
			// Whoever reads gets the error; this one would end the process by default.
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				s.o.Logger.Error("corrupt file", zap.String("file", info.Path), zap.Error(info.Details))
			},
		},
		FormatMajorVersion:          pebble.FormatTableFormatV6,
		CacheSize:                   s.o.CacheBytes,
		MemTableSize:                s.o.MemTableBytes,
		MemTableStopWritesThreshold: 4,
		// An Apply that waits for compactions would wait for ever once they cannot read
		// what a failed disk did not take.
		L0StopWritesThreshold: 1000,
		// Unsynced writes go to the disk steadily, so that a Sync is not slow.
		WALBytesPerSync: 512 << 10,
	}
	if s.o.Pebble != nil {
		s.o.Pebble(p)
	}
	return p
}
