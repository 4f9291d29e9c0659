package pebblestore

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

// Options are how an Engine is opened. The zero value is fine.
type Options struct {
	// ClusterID and NodeID are whom the directory is for. They are written to a
	// new directory, or one that was without, and compared later: another one is
	// an IdentityError. Zero is not compared.
	ClusterID, NodeID uint64

	// EntryCacheBytes bounds the newest entries of all groups that are kept in
	// memory, so that a leader sends to its followers without reading from disk.
	// Up to a quarter more of them may wait to be freed.
	// Default 32 MiB; below 0 there is no cache.
	EntryCacheBytes int64
	// BlockCacheBytes is how much of its files Pebble keeps in memory. Default
	// 8 MiB.
	BlockCacheBytes int64
	// MemTableBytes is how much is written before Pebble moves it from its log to
	// a sorted file. What is compacted before that is never moved. Up to four of
	// these are in memory. Default 16 MiB, at least 64 KiB.
	MemTableBytes uint64
	// WALBytesPerSync makes the disk begin to write the log after so many bytes
	// without a sync, so that the next sync is not slow. Default 512 KiB; below 0
	// never.
	WALBytesPerSync int
	// FreeSpaceDelay is how long after Compact or DestroyGroup Pebble is made to
	// rewrite its files, if much of what they hold is deleted and it has not done so
	// by itself. Default 10 s.
	FreeSpaceDelay time.Duration

	// FS is the file system. Default: that of the operating system.
	FS vfs.FS
	// Logger gets what happens: Pebble's messages at level debug, failures at
	// level error. Default: none.
	Logger *zap.Logger
	// Pebble, if set, is called last with the options that Pebble is opened with.
	// Of these FS, Lock, Logger, EventListener and FormatMajorVersion are not to
	// be changed, and neither is anything about the log's syncs.
	Pebble func(*pebble.Options)
}

const (
	defaultEntryCache   = 32 << 20
	defaultBlockCache   = 8 << 20
	defaultMemTable     = 16 << 20
	minMemTable         = 64 << 10
	maxMemTable         = 1 << 30
	defaultBytesPerSync = 512 << 10
	defaultFreeDelay    = 10 * time.Second
)

// withDefaults returns the options with defaults filled in.
func (o *Options) withDefaults() Options {
	var filled Options
	if o != nil {
		filled = *o
	}
	if filled.EntryCacheBytes == 0 {
		filled.EntryCacheBytes = defaultEntryCache
	}
	if filled.BlockCacheBytes == 0 {
		filled.BlockCacheBytes = defaultBlockCache
	}
	if filled.MemTableBytes == 0 {
		filled.MemTableBytes = defaultMemTable
	}
	if filled.WALBytesPerSync == 0 {
		filled.WALBytesPerSync = defaultBytesPerSync
	}
	if filled.FreeSpaceDelay == 0 {
		filled.FreeSpaceDelay = defaultFreeDelay
	}
	if filled.FS == nil {
		filled.FS = vfs.Default
	}
	if filled.Logger == nil {
		filled.Logger = zap.NewNop()
	}
	return filled
}

// Validate says what is wrong with the options, all of it. Nil options are fine.
func (o *Options) Validate() error {
	if o == nil {
		return nil
	}
	var faults []error
	if o.BlockCacheBytes < 0 {
		faults = append(faults, fmt.Errorf("BlockCacheBytes (%d) must not be negative", o.BlockCacheBytes))
	}
	if n := o.MemTableBytes; n != 0 && (n < minMemTable || n > maxMemTable) {
		faults = append(faults, fmt.Errorf("MemTableBytes (%d) must be between %d and %d", n, minMemTable, maxMemTable))
	}
	if o.FreeSpaceDelay < 0 {
		faults = append(faults, fmt.Errorf("FreeSpaceDelay (%v) must not be negative", o.FreeSpaceDelay))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("pebblestore: invalid options: %w", err)
	}
	return nil
}

// pebbleOptions returns what Pebble is opened with, for a log that is written
// once, read little and dropped from the front.
func (e *Engine) pebbleOptions() *pebble.Options {
	o := &pebble.Options{
		FS:                 e.guard,
		Logger:             e.guard.Logger(e.o.Logger),
		EventListener:      e.listener(),
		FormatMajorVersion: pebble.FormatTableFormatV6, // the newest with checksums all over that is not experimental
		CacheSize:          e.o.BlockCacheBytes,
		MemTableSize:       e.o.MemTableBytes,
		// Writes wait for Pebble only when it is far behind: a stalled write
		// looks like a stalled disk, and a leader hands over.
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       1000,
		LBaseMaxBytes:               64 << 20,
		// Space is free only once the range deletion of a compaction is in a file.
		FlushDelayDeleteRange: e.o.FreeSpaceDelay,
		WALBytesPerSync:       max(0, e.o.WALBytesPerSync),
		// Syncs are shared by who waits at the same time; nobody waits for company.
		WALMinSyncInterval: nil,
	}
	o.Experimental.EnableColumnarBlocks = func() bool { return true }
	// What reaches lower levels is what nobody compacted for long: the default,
	// Snappy, is right for that, and filters would never answer a scan.
	if e.o.Pebble != nil {
		e.o.Pebble(o)
	}
	return o
}

func (e *Engine) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			if pebble.IsCorruptionError(err) {
				err = &CorruptionError{File: corruptFile(err), Err: err}
			}
			e.guard.BackgroundError(err)
		},
		// Whoever reads gets the error; this one would end the process by default.
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			e.o.Logger.Error("corrupt file", zap.String("file", info.Path), zap.Error(info.Details))
		},
	}
}
