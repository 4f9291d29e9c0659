package pebblestore

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/storage/internal/enginetest"
	"github.com/quorate-raft/raft/storage/internal/grouplog"
)

// subject is what the tests that all engines pass know of this one.
var subject = &enginetest.Subject{
	NewDisk:     func() enginetest.Disk { return newDisk(vfs.NewCrashableMem()) },
	Open:        openSubject,
	OpenDefault: func(dir string) (enginetest.Engine, error) { return enginetest.Wrap(Open(dir, nil)) },
	OnDisk: map[string]func(dir string) (enginetest.Engine, error){
		"default": func(dir string) (enginetest.Engine, error) { return enginetest.Wrap(Open(dir, nil)) },
	},
	Errors: enginetest.Errors{
		Failed: ErrFailed, Closed: ErrClosed, Destroyed: ErrDestroyed, Locked: ErrLocked, Identity: ErrIdentity,
		TooLarge: ErrTooLarge,
	},
	IdentityError: func(dir string, have, want [2]uint64) error {
		return &IdentityError{dir, have[0], have[1], want[0], want[1]}
	},
	FailedType: (*FailedError)(nil), FailedOp: "sync", LogSuffix: ".log",
	CheckCache: func(e enginetest.Engine) error {
		under := enginetest.Unwrap[*Engine](e)
		var parts []*grouplog.Part
		for _, s := range under.groups {
			parts = append(parts, &s.log.Part)
		}
		return under.shared.CheckCache(parts)
	},
	LimitWrites: func(e enginetest.Engine, limit int64) { enginetest.Unwrap[*Engine](e).maxWrite = limit },
	// Pebble writes on four goroutines: that of the caller, who begins a new log, one that
	// writes the log, one that flushes and one that compacts. Each operation is let through,
	// or is not, by itself.
	AfterFailure: 3,
	Simulations:  20,
	Nightly:      os.Getenv("PEBBLESTORE_NIGHTLY") != "",
}

func TestMain(m *testing.M) { enginetest.Main(m, subject) }

// What both engines promise, this one keeps.
func TestEngine(t *testing.T) { enginetest.Run(t, subject) }

// A Storage says whose it is.
func TestStorageOfEngine(t *testing.T) {
	e := open(t, small(vfs.NewMem()))
	require.Same(t, e, group(t, e, 1).Engine())
	require.NoError(t, e.Close())
}

func openSubject(dir string, d enginetest.Disk, of enginetest.Options) (enginetest.Engine, error) {
	o := small(nil)
	if d != nil {
		o.FS = d.(disk).watchedFS
	}
	o.ClusterID, o.NodeID, o.Logger = of.ClusterID, of.NodeID, of.Logger()
	if of.EntryCacheBytes != 0 {
		o.EntryCacheBytes = of.EntryCacheBytes
	}
	if of.FileBytes > 0 {
		o.MemTableBytes = uint64(of.FileBytes)
	}
	if of.FreeSoon {
		o.FreeSpaceDelay = 5 * time.Millisecond
	}
	if of.Still {
		o.Pebble = func(o *pebble.Options) { o.DisableAutomaticCompactions = true }
	}
	return enginetest.Wrap(Open(dir, o))
}

// disk is Pebble's file system in memory as those tests see it.
type disk struct {
	*watchedFS
	mem *vfs.MemFS
}

func newDisk(mem *vfs.MemFS) disk { return disk{&watchedFS{FS: mem}, mem} }

func (d disk) Crash(rnd *rand.Rand) enginetest.Disk { return newDisk(d.crash(rnd)) }
func (d disk) Ops() int64                           { return d.ops.Load() }
func (d disk) LogSyncs() int64                      { return d.syncs.Load() }

func (d disk) Kill() enginetest.Disk {
	d.still.Lock()
	defer d.still.Unlock()
	return newDisk(d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(0, 0))}))
}

func (d disk) Watch(before func(op, name string) error, after func(op, name string)) {
	d.watch(before, after)
}

// Size is that of all files in directories that an engine may be in.
func (d disk) Size() int {
	names, err := d.mem.List(enginetest.Dir)
	if err != nil {
		return 0
	}
	total := 0
	for _, name := range names {
		if info, err := d.mem.Stat(d.mem.PathJoin(enginetest.Dir, name)); err == nil {
			total += int(info.Size())
		}
	}
	return total
}
