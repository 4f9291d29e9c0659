package pebblestore

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"

	"github.com/quorate-raft/raft/storage/internal/grouplog"
	"github.com/quorate-raft/raft/storage/pebblestore/diskguard"
)

// Engine is a directory with the logs of any number of groups. All of them share
// one write-ahead log: writes that are synced at the same time share a sync. It
// is safe for concurrent use.
type Engine struct {
	o      Options
	dir    string
	db     *pebble.DB
	lock   *pebble.Lock
	guard  *diskguard.FS
	shared grouplog.Shared
	// maxWrite bounds one batch, in bytes; tests make it small.
	maxWrite int64

	reclaimer *reclaimer

	nonce uint32
	// synced is Pebble's sequence number up to which its log is known to be synced.
	synced atomic.Uint64

	// mu protects groups, and lets groups appear and disappear one at a time.
	mu     sync.Mutex
	groups map[uint64]*Storage
}

// Open opens the directory, which is created if it is missing. Nil options are
// the default.
//
// It returns ErrLocked if the directory is open already, an IdentityError or a
// FormatError if it is not for this node or program, and a CorruptionError if its
// log or index is damaged where it had been synced.
func Open(dir string, o *Options) (*Engine, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	e := &Engine{o: o.withDefaults(), dir: dir, maxWrite: maxBatch, groups: map[uint64]*Storage{}}
	e.shared.Init(grouplog.Errors{Closed: ErrClosed, Destroyed: ErrDestroyed, Gap: ErrGap}, e.Err, e.o.EntryCacheBytes)
	e.guard = diskguard.New(e.o.FS, func(failure *diskguard.Failure) {
		e.o.Logger.Error("storage failed for good", zap.String("directory", dir), zap.Error((*FailedError)(failure)))
	})
	var nonce [4]byte
	_, _ = rand.Read(nonce[:]) // never fails
	e.nonce = binary.BigEndian.Uint32(nonce[:])
	if err := e.lockDirectory(); err != nil {
		return nil, err
	}
	err := e.openPebble()
	if err == nil {
		err = e.checkIdentity()
	}
	if err == nil {
		err = e.Err()
	}
	if err != nil {
		_ = e.closePebble() // the first error says more
		return nil, err
	}
	e.reclaimer = startReclaimer(e)
	return e, nil
}

func (e *Engine) lockDirectory() error {
	dir := e.dir
	if err := makeDirectory(e.o.FS, dir); err != nil {
		return fmt.Errorf("pebblestore: creating %s: %w", dir, err)
	}
	var err error
	if e.dir, err = realPath(e.o.FS, dir); err != nil {
		return fmt.Errorf("pebblestore: %w", err)
	}
	e.lock, err = pebble.LockDirectory(e.dir, e.o.FS)
	var noFile *os.PathError
	switch {
	case errors.As(err, &noFile):
		return fmt.Errorf("pebblestore: locking %s: %w", dir, err)
	case err != nil:
		return fmt.Errorf("%w: %s: %w", ErrLocked, dir, err)
	}
	return nil
}

// realPath returns the one path that all paths to dir lead to: among those of one
// process, Pebble's lock tells directories apart by their path.
func realPath(fs vfs.FS, dir string) (string, error) {
	if vfs.Root(fs) != vfs.Default {
		return dir, nil
	}
	path, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// makeDirectory creates dir with its parents so that they are there after a crash,
// for which each directory has to be synced that one was created in. Until a store
// is in it, it may be that the last process ended before it came to that.
func makeDirectory(fs vfs.FS, dir string) error {
	if names, err := fs.List(dir); err == nil && slices.ContainsFunc(names, isFormatMarker) {
		return nil
	}
	var missing []string
	at := dir
	for ; fs.PathDir(at) != at; at = fs.PathDir(at) {
		if _, err := fs.Stat(at); err == nil {
			break
		}
		missing = append(missing, at)
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, made := range missing {
		if err := syncDirectory(fs, fs.PathDir(made)); err != nil {
			return err
		}
	}
	for ; fs.PathDir(at) != at; at = fs.PathDir(at) {
		_ = syncDirectory(fs, fs.PathDir(at)) // it need not be ours to open
	}
	return nil
}

func syncDirectory(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// openPebble opens db. Pebble panics at some kinds of damage.
func (e *Engine) openPebble() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &CorruptionError{File: e.dir, Err: fmt.Errorf("pebble panicked: %v", r)}
		}
	}()
	if err := checkFiles(e.o.FS, e.dir); err != nil {
		return err
	}
	o := e.pebbleOptions()
	o.Lock = e.lock
	db, err := pebble.Open(e.dir, o)
	if err != nil {
		if failure := e.Err(); failure != nil {
			return failure
		}
		if pebble.IsCorruptionError(err) {
			file := corruptFile(err)
			if file == "" {
				file = damagedLog(e.o.FS, e.dir)
			}
			return &CorruptionError{File: file, Err: err}
		}
		return fmt.Errorf("pebblestore: opening %s: %w", e.dir, err)
	}
	e.db = db
	return nil
}

// closePebble closes what is open, whatever state it is in.
func (e *Engine) closePebble() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.Join(err, fmt.Errorf("pebblestore: closing %s: pebble panicked: %v", e.dir, r))
		}
		err = errors.Join(err, e.lock.Close())
	}()
	if e.db != nil {
		err = e.db.Close()
	}
	return err
}

// Close ends the Engine in good order: all that was written is durable when it
// returns nil. It waits for operations that are under way; none may begin after.
// Where a write failed before, it returns that. A second Close does nothing.
func (e *Engine) Close() error {
	e.reclaimer.close()
	return e.shared.Close(func() error {
		// A last record: what comes before it, all that was written, can then be told
		// from the torn end of a crash.
		err := e.commit(e.newBatch(0), true)
		if err == nil {
			err = e.commit(e.newBatch(0), true)
		}
		err = errors.Join(err, e.closePebble())
		if failure := e.Err(); failure != nil {
			return failure
		}
		return err
	})
}

// Err returns the failure after which nothing is written or read any more, a
// FailedError, or nil.
func (e *Engine) Err() error {
	if failure := e.guard.Failure(); failure != nil {
		return (*FailedError)(failure)
	}
	return nil
}

// maxBatch bounds a batch well below where Pebble panics.
const maxBatch = 1 << 30

// newBatch returns a batch for about size bytes, with its watermark.
func (e *Engine) newBatch(size int) *pebble.Batch {
	b := e.db.NewBatchWithSize(size + 64)
	var mark [watermarkLen]byte
	putWatermark(&mark, e.nonce, e.synced.Load())
	_ = b.LogData(mark[:], nil) // never fails
	return b
}

// apply makes b visible, and part of what the next sync covers.
func (e *Engine) apply(b *pebble.Batch, sync bool) (err error) {
	defer func() {
		if r := recover(); r != nil {
			e.guard.Fail("commit", "", fmt.Errorf("pebble panicked: %v", r))
			err = e.Err()
		}
	}()
	if sync {
		// The wait for the sync is apart, so that readers see the write meanwhile.
		err = e.db.ApplyNoSyncWait(b, pebble.Sync)
	} else {
		err = e.db.Apply(b, pebble.NoSync)
	}
	if err != nil {
		e.guard.Fail("commit", "", err)
	}
	return e.Err()
}

// wait waits until b, applied with sync, is durable, and with it all before it.
func (e *Engine) wait(b *pebble.Batch) error {
	if err := b.SyncWait(); err != nil {
		e.guard.Fail("sync", "", err)
	}
	if err := e.Err(); err != nil {
		return err
	}
	end := uint64(b.SeqNum()) + uint64(b.Count())
	for {
		synced := e.synced.Load()
		if end <= synced+1 || e.synced.CompareAndSwap(synced, end-1) {
			return nil
		}
	}
}

// commit applies b and waits for it, if it is to be synced.
func (e *Engine) commit(b *pebble.Batch, sync bool) error {
	if err := e.apply(b, sync); err != nil {
		return err
	}
	if sync {
		if err := e.wait(b); err != nil {
			return err
		}
	}
	_ = b.Close() // only puts it back
	return nil
}
