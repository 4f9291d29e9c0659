package wal

import (
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/storage/internal/enginetest"
	"github.com/quorate-raft/raft/storage/internal/grouplog"
)

// subject is what the tests that all engines pass know of this one.
var subject = &enginetest.Subject{
	NewDisk:     func() enginetest.Disk { return disk{newMemFS()} },
	Open:        openSubject,
	OpenDefault: func(dir string) (enginetest.Engine, error) { return enginetest.Wrap(Open(dir, nil)) },
	OnDisk: map[string]func(dir string) (enginetest.Engine, error){
		"cached=false": func(dir string) (enginetest.Engine, error) {
			return enginetest.Wrap(Open(dir, &Options{SegmentBytes: 256 << 10}))
		},
		"cached=true": func(dir string) (enginetest.Engine, error) {
			return enginetest.Wrap(Open(dir, &Options{DisableDirectIO: true, SegmentBytes: 256 << 10}))
		},
	},
	Errors: enginetest.Errors{
		Failed: ErrFailed, Closed: ErrClosed, Destroyed: ErrDestroyed, Locked: ErrLocked, Identity: ErrIdentity,
		TooLarge: ErrTooLarge,
	},
	IdentityError: func(dir string, have, want [2]uint64) error {
		return &IdentityError{dir, have[0], have[1], want[0], want[1]}
	},
	FailedType: (*FailedError)(nil), FailedOp: "write", LogSuffix: segmentSuffix,
	CheckCache: func(e enginetest.Engine) error {
		under := enginetest.Unwrap[*Engine](e)
		var parts []*grouplog.Part
		for _, s := range under.groups {
			parts = append(parts, &s.log.Part)
		}
		return under.shared.CheckCache(parts)
	},
	LimitWrites: func(e enginetest.Engine, limit int64) { enginetest.Unwrap[*Engine](e).maxWrite = limit },
	CheckFreed: func(e enginetest.Engine) error {
		under := enginetest.Unwrap[*Engine](e)
		under.mu.Lock()
		defer under.mu.Unlock()
		if under.segments[0].seq == 1 {
			return errors.New("the first segment is there")
		}
		return nil
	},
	// One goroutine writes the log and one, the keeper, makes files; at most a write with its
	// sync is done without another look.
	AfterFailure: 2,
	Simulations:  12,
	Nightly:      os.Getenv("WAL_NIGHTLY") != "",
}

func TestMain(m *testing.M) { enginetest.Main(m, subject) }

// What both engines promise, this one keeps.
func TestEngine(t *testing.T) { enginetest.Run(t, subject) }

// A Storage says whose it is.
func TestStorageOfEngine(t *testing.T) {
	e := open(t, small(newMemFS()))
	require.Same(t, e, group(t, e, 1).Engine())
	require.NoError(t, e.Close())
}

func openSubject(dir string, d enginetest.Disk, of enginetest.Options) (enginetest.Engine, error) {
	o := small(nil)
	if d != nil {
		o.files = d.(disk).memFS
	}
	o.ClusterID, o.NodeID, o.Logger = of.ClusterID, of.NodeID, of.Logger()
	if of.EntryCacheBytes != 0 {
		o.EntryCacheBytes = of.EntryCacheBytes
	}
	if of.FileBytes > 0 {
		o.SegmentBytes, o.LogBytes = of.FileBytes, 4*of.FileBytes
	}
	if of.LongLog {
		o.LogBytes = 100 << 20
	}
	return enginetest.Wrap(Open(dir, o))
}

// disk is a memFS as those tests see it.
type disk struct{ *memFS }

func (d disk) Crash(rnd *rand.Rand) enginetest.Disk { return disk{d.crash(rnd)} }
func (d disk) Kill() enginetest.Disk                { return disk{d.kill()} }
func (d disk) Ops() int64                           { return d.ops.Load() }
func (d disk) LogSyncs() int64                      { return d.syncs.Load() }
func (d disk) Size() int                            { return d.size() }

func (d disk) Watch(before func(op, name string) error, after func(op, name string)) {
	d.watch(before, after)
}
