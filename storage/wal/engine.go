package wal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/quorate-raft/raft/storage/internal/grouplog"
)

// Engine is a directory with the logs of any number of groups. All of them share
// one log of files: writes that are synced at the same time share a sync. It is
// safe for concurrent use.
type Engine struct {
	o      Options
	dir    string
	lock   io.Closer
	shared grouplog.Shared
	// maxWrite bounds the records of one write, in bytes; tests make it small.
	maxWrite int64

	id            logID
	cluster, node uint64

	failure atomic.Pointer[FailedError]
	counts  counts
	keeper  *keeper

	// mu protects what follows, for moments.
	mu sync.Mutex
	// pending is the batch that writes go to, flying the one that is being written,
	// idle one for later.
	pending, flying, idle *batch
	// turn is for one of those who wait for pending: it has to be written.
	turn chan struct{}
	// crowd is how many waited for the last batch beside who wrote it.
	crowd int
	// synced is the position up to which everything is durable, previous the
	// checksum of the header of the batch before it.
	synced   uint64
	previous uint32
	// segments are the files of the log, in order; the last is written to. next is
	// made for when that is full, and spare the path of a file that can be next.
	segments []*segment
	next     *segment
	spare    string
	lastSeq  uint64

	// preparing is held while next is made, in hurry if a write waits for it.
	preparing sync.Mutex
	hurry     atomic.Bool
	// syncingDir is held while the directory is synced.
	syncingDir sync.Mutex

	// groupsMu protects groups, and lets groups appear and disappear one at a time.
	groupsMu sync.Mutex
	groups   map[uint64]*Storage
}

// Open opens the directory, which is created if it is missing. Nil options are
// the default. It reads the whole log.
//
// It returns ErrLocked if the directory is open already, an IdentityError or a
// FormatError if it is not for this node or program, and a CorruptionError if the
// log is damaged where it had been synced.
func Open(dir string, o *Options) (*Engine, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	e := &Engine{
		o: o.withDefaults(), maxWrite: maxRecord, groups: map[uint64]*Storage{}, turn: make(chan struct{}, 1),
	}
	e.o.files = countedFiles{e.o.files, &e.counts.syncs}
	e.keeper = newKeeper(e)
	e.shared.Init(grouplog.Errors{Closed: ErrClosed, Destroyed: ErrDestroyed, Gap: ErrGap}, e.Err, e.o.EntryCacheBytes)
	if err := e.lockDirectory(dir); err != nil {
		return nil, err
	}
	if err := e.openLog(); err != nil {
		_ = e.closeFiles() // the first error says more
		return nil, err
	}
	go e.keeper.run()
	return e, nil
}

func (e *Engine) lockDirectory(dir string) error {
	files := e.o.files
	// With a log in it, it is there for good.
	names, err := files.List(dir)
	if err != nil || !slices.ContainsFunc(names, isSegment) {
		if err := files.MkdirAll(dir); err != nil {
			return fmt.Errorf("wal: creating %s: %w", dir, err)
		}
	}
	if e.dir, err = files.RealPath(dir); err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	e.lock, err = files.Lock(filepath.Join(e.dir, lockName))
	switch {
	case errors.Is(err, errInUse):
		return fmt.Errorf("%w: %s", ErrLocked, dir)
	case err != nil:
		return fmt.Errorf("wal: locking %s: %w", dir, err)
	}
	return nil
}

// openLog finds or makes the log, and marks that it goes on: what was found is
// durable then, and told from a torn end from now on.
func (e *Engine) openLog() error {
	found, err := e.findSegments()
	if err != nil {
		return err
	}
	if len(found) == 0 {
		_, _ = rand.Read(e.id[:]) // never fails
		e.cluster, e.node = e.o.ClusterID, e.o.NodeID
		e.synced = firstPosition
	} else if err := e.checkHeaders(found); err != nil {
		return err
	} else if err := e.recover(found); err != nil {
		return err
	}
	e.pending = newBatch(e.synced)
	if n := len(e.segments); n == 0 || e.segments[n-1].cluster != e.cluster || e.segments[n-1].node != e.node {
		// Who the log is for is in the headers: a new answer needs a new one, and so does
		// one that only a file said that is gone, since there was nothing else in it.
		if err := e.prepare(min(e.o.SegmentBytes, firstSegmentBytes)); err != nil {
			return err
		}
		e.advance(e.synced)
	}
	return e.mark(kindOpened)
}

// mark writes a record of no group, and waits until it is durable.
func (e *Engine) mark(k kind) error {
	b, err := e.begin(recordHeaderLen + 8)
	if err != nil {
		return err
	}
	b.buf = putNumber(b.buf, 0, k, e.segments[0].seq)
	return e.commitLocked(e.ticket())
}

// closeFiles closes what is open.
func (e *Engine) closeFiles() error {
	var errs []error
	for _, segment := range append(e.segments, e.next) {
		if segment != nil {
			errs = append(errs, segment.file.Close())
		}
	}
	return errors.Join(append(errs, e.lock.Close())...)
}

// Close ends the Engine in good order: all that was written is durable when it
// returns nil. It waits for operations that are under way; none may begin after.
// Where a write failed before, it returns that. A second Close does nothing.
func (e *Engine) Close() error {
	e.keeper.close()
	return e.shared.Close(func() error {
		// Two batches: the first has what was not synced, and the second tells all of
		// that from the torn end of a crash.
		err := e.mark(kindClosed)
		if err == nil {
			err = e.mark(kindClosed)
		}
		err = errors.Join(err, e.closeFiles())
		if failure := e.Err(); failure != nil {
			return failure
		}
		return err
	})
}
