package wal

import (
	"fmt"
	"path/filepath"
	"sort"
	"time"
)

// segment is one file of the log: its header, then batches without a gap, each of
// whole blocks.
type segment struct {
	seq  uint64
	name string // the path
	file file
	size int64
	// start is the position of its first batch. 0 while it has none.
	start uint64
	// cluster and node are whom it says the log is for, if it was found.
	cluster, node uint64
}

// offset is where in the file a position is.
func (s *segment) offset(position uint64) int64 { return int64(position-s.start) + blockSize }

// segmentOf returns the segment of a position, with mu held. Nil if it is gone.
func (e *Engine) segmentOf(position uint64) *segment {
	i := sort.Search(len(e.segments), func(i int) bool { return e.segments[i].start > position })
	if i == 0 {
		return nil
	}
	return e.segments[i-1]
}

// fillBytes is how much of a new file is written at once, fillPause the longest pause
// after it; it is as long as the write took.
const (
	fillBytes = 256 << 10
	fillPause = 10 * time.Millisecond
)

// firstSegmentBytes is the size of the first file of a new directory, which Open has
// to wait for, and the least of one that a write waits for. The next is made meanwhile.
const firstSegmentBytes = 1 << 20

// rotate begins the next segment, with a batch at a position. Only who writes a
// batch calls it.
func (e *Engine) rotate(start uint64) (*segment, error) {
	e.hurry.Store(true)
	err := e.prepare(e.o.SegmentBytes)
	e.hurry.Store(false)
	if err != nil {
		return nil, err
	}
	return e.advance(start), nil
}

// advance makes next the last segment, with a batch at a position.
func (e *Engine) advance(start uint64) *segment {
	e.mu.Lock()
	next := e.next
	e.next = nil
	next.start = start
	e.segments = append(e.segments, next)
	e.mu.Unlock()
	e.keeper.wake()
	return next
}

// prepare makes the next segment, if there is none, so that the log can go on in it
// without a wait. It has its header, its blocks were written, and its name is durable.
func (e *Engine) prepare(size int64) error {
	e.preparing.Lock()
	defer e.preparing.Unlock()
	e.mu.Lock()
	if e.next != nil {
		e.mu.Unlock()
		return nil
	}
	seq, spare := e.lastSeq+1, e.spare
	e.spare = ""
	e.mu.Unlock()
	if err := e.Err(); err != nil {
		return err
	}
	recycled := spare != ""
	if !recycled {
		spare = filepath.Join(e.dir, spareName(seq))
	}
	if err := e.format(spare, seq, size, recycled); err != nil {
		return err
	}
	// The header is durable before the file has the name of a segment, and the name
	// before anything in it counts.
	name := filepath.Join(e.dir, segmentName(seq))
	if err := e.rename(spare, name); err != nil {
		return err
	}
	made, err := e.openSegment(name, seq)
	if err != nil {
		return e.fail("open", name, err)
	}
	e.mu.Lock()
	e.next, e.lastSeq = made, seq
	e.mu.Unlock()
	return nil
}

func (e *Engine) openSegment(name string, seq uint64) (*segment, error) {
	f, err := e.o.files.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		_ = f.Close() // the first error says more
		return nil, err
	}
	return &segment{seq: seq, name: name, file: f, size: size}, nil
}

// rename renames a file of the log for good.
func (e *Engine) rename(from, to string) error {
	if err := e.Err(); err != nil {
		return err
	}
	if err := e.o.files.Rename(from, to); err != nil {
		return e.fail("rename", from, err)
	}
	return e.syncDir()
}

// syncDir makes durable what was renamed and removed. One waits for another, and for it to
// be known that the other failed: after that the file system may report success for what
// it lost.
func (e *Engine) syncDir() error {
	e.syncingDir.Lock()
	defer e.syncingDir.Unlock()
	if err := e.Err(); err != nil {
		return err
	}
	if err := e.o.files.SyncDir(e.dir); err != nil {
		return e.fail("sync", e.dir, err)
	}
	return nil
}

// format makes the file the segment of a number, one without batches. The old batches
// of a recycled file stay: they are of another number, and of positions that their
// places do not have any more.
func (e *Engine) format(name string, seq uint64, size int64, recycled bool) error {
	open, op := e.o.files.Create, "create"
	if recycled {
		open, op = e.o.files.Open, "open"
	}
	f, err := open(name)
	if err != nil {
		return e.fail(op, name, err)
	}
	if !recycled {
		// What is written before is the quicker to write again: no blocks are
		// allocated and the journal has nothing to do. If a write waits for the file
		// it becomes a short one.
		zeros, least := alignedBytes(fillBytes), min(size, firstSegmentBytes)
		for at := int64(blockSize); at < size && (at < least || !e.hurry.Load()) && err == nil && e.Err() == nil; {
			n, began := min(fillBytes, size-at), time.Now()
			err = f.WriteSync(zeros[:n], at)
			if at += n; at > least {
				time.Sleep(min(time.Since(began), fillPause)) // the log is written meanwhile
			}
		}
	}
	if err == nil && e.Err() == nil {
		block := alignedBytes(blockSize)
		h := segmentHeader{version: formatVersion, id: e.id, seq: seq, cluster: e.cluster, node: e.node}
		h.put(block)
		err = f.WriteSync(block, 0)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return e.fail("write", name, err)
	}
	return e.Err()
}

// retire takes the oldest segment out of the log, which nothing is needed of any
// more. Its file is kept for another segment, if none is.
func (e *Engine) retire(old *segment) error {
	e.mu.Lock()
	e.segments = append([]*segment(nil), e.segments[1:]...)
	keep := e.spare == "" && old.size == e.o.SegmentBytes
	e.mu.Unlock()
	// A reader that still has it is refused, and reads again where things are now.
	if err := old.file.Close(); err != nil {
		return e.fail("close", old.name, err)
	}
	if err := e.Err(); err != nil {
		return err
	}
	if !keep {
		if err := e.o.files.Remove(old.name); err != nil {
			return e.fail("remove", old.name, err)
		}
		return e.syncDir()
	}
	// The name is gone for good before the header of another number is in the file.
	spare := filepath.Join(e.dir, spareName(old.seq))
	if err := e.rename(old.name, spare); err != nil {
		return err
	}
	e.mu.Lock()
	e.spare = spare
	e.mu.Unlock()
	return nil
}

// corruptSegment is damage to a segment.
func corruptSegment(name string, offset int64, format string, args ...any) error {
	return &CorruptionError{File: filepath.Base(name), Offset: offset, Err: fmt.Errorf(format, args...)}
}
