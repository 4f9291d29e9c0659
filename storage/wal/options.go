package wal

import (
	"errors"
	"fmt"
	"time"

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
	// SegmentBytes is the size of the files that the log is cut into, the unit in
	// which space is freed. A larger write gets a larger file. Default 64 MiB, at
	// least 64 KiB, a multiple of 4096.
	SegmentBytes int64
	// LogBytes is how long the log may become before what is still needed of its
	// oldest file is written anew at its end, so that a group which does not
	// compact, or is idle, does not keep the files of all others. The log may always be
	// twice as long as what is needed of it, so that this at most doubles what is
	// written. Default 512 MiB, at least twice SegmentBytes.
	LogBytes int64
	// DisableDirectIO writes through the operating system's cache. By default the
	// log is written past it, on Linux and where the file system can, which
	// takes less time for each write.
	DisableDirectIO bool

	// Logger gets failures, at level error. Default: none.
	Logger *zap.Logger

	// files replaces the file system of the operating system, in tests.
	files fileSystem
	// keeperPause is between two looks at what can be freed, each of which takes a
	// moment for every group.
	keeperPause time.Duration
}

const (
	defaultEntryCache   = 32 << 20
	defaultSegmentBytes = 64 << 20
	defaultLogBytes     = 512 << 20
	defaultPause        = 20 * time.Millisecond
	minSegmentBytes     = 64 << 10
	maxSegmentBytes     = 1 << 30
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
	if filled.SegmentBytes == 0 {
		filled.SegmentBytes = defaultSegmentBytes
	}
	if filled.LogBytes == 0 {
		filled.LogBytes = max(defaultLogBytes, 2*filled.SegmentBytes)
	}
	if filled.files == nil {
		filled.files = osFiles{direct: !filled.DisableDirectIO}
	}
	if filled.keeperPause == 0 {
		filled.keeperPause = defaultPause
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
	filled := o.withDefaults()
	if n := filled.SegmentBytes; n < minSegmentBytes || n > maxSegmentBytes {
		faults = append(faults, fmt.Errorf("SegmentBytes (%d) must be between %d and %d", n, minSegmentBytes, maxSegmentBytes))
	}
	if n := filled.SegmentBytes; n%blockSize != 0 {
		faults = append(faults, fmt.Errorf("SegmentBytes (%d) must be a multiple of %d", n, blockSize))
	}
	if filled.LogBytes < 2*filled.SegmentBytes {
		faults = append(faults, fmt.Errorf("LogBytes (%d) must be at least twice SegmentBytes (%d)", filled.LogBytes, filled.SegmentBytes))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("wal: invalid options: %w", err)
	}
	return nil
}
