package wal

import (
	"fmt"
	"path/filepath"
	"runtime"

	"go.uber.org/zap"
)

// batch is records that are written and synced at once: all that came in while the
// batch before was being written.
type batch struct {
	// buf has room for the header, then the records. It is aligned, and its capacity
	// is whole blocks.
	buf   []byte
	start uint64 // its position
	// done is closed once the batch is durable, or never will be. Nil while nobody
	// waits. waiters count those that one of has to write it.
	done    chan struct{}
	waiters int
}

const (
	firstBatchBytes = 64 << 10
	// keptBatchBytes is the largest buffer that is kept for another batch.
	keptBatchBytes = 4 << 20
	// fullBatchBytes is where a batch gets no more writes, and an unsynced write
	// makes for the disk.
	fullBatchBytes = 1 << 20
)

func newBatch(start uint64) *batch {
	return &batch{buf: alignedBytes(firstBatchBytes)[:batchHeaderLen], start: start}
}

func (b *batch) empty() bool { return len(b.buf) == batchHeaderLen }

// end is the position after it.
func (b *batch) end() uint64 { return b.start + uint64(blocks(len(b.buf))) }

// reserve makes room for n bytes of records.
func (b *batch) reserve(n int) {
	if need := len(b.buf) + n; need > cap(b.buf) {
		grown := alignedBytes(blocks(max(need, 2*cap(b.buf))))
		b.buf = grown[:copy(grown, b.buf)]
	}
}

// slice returns the records at a location, if they are in the batch.
func (b *batch) slice(at location) []byte {
	if b == nil || at.position < b.start || at.position+uint64(at.size) > b.start+uint64(len(b.buf)) {
		return nil
	}
	return b.buf[at.position-b.start:][:at.size]
}

// reuse makes the batch an empty one.
func (b *batch) reuse(start uint64) *batch {
	if cap(b.buf) > keptBatchBytes {
		return newBatch(start)
	}
	*b = batch{buf: b.buf[:batchHeaderLen], start: start}
	return b
}

// Err returns the failure after which nothing is written or read any more, a
// FailedError, or nil.
func (e *Engine) Err() error {
	if failure := e.failure.Load(); failure != nil {
		return failure
	}
	return nil
}

// fail makes the first failure known, and returns it.
func (e *Engine) fail(op, file string, err error) error {
	failure := &FailedError{Op: op, File: filepath.Base(file), Err: err}
	if e.failure.CompareAndSwap(nil, failure) {
		e.o.Logger.Error("storage failed for good", zap.String("directory", e.dir), zap.Error(failure))
	}
	return e.Err()
}

// begin returns the batch for a write of so many bytes, with mu held. While the
// batch that waits is full it is written first.
func (e *Engine) begin(size int) (*batch, error) {
	e.mu.Lock()
	for {
		if err := e.Err(); err != nil {
			e.mu.Unlock()
			return nil, err
		}
		b := e.pending
		if b.empty() || len(b.buf)+size <= fullBatchBytes {
			b.reserve(size)
			return b, nil
		}
		if err := e.commitLocked(b.start); err != nil {
			return nil, err
		}
		e.mu.Lock()
	}
}

// ticket is what to commit for all that was written so far, with mu held.
func (e *Engine) ticket() uint64 {
	if e.pending.empty() && e.flying != nil {
		return e.flying.start
	}
	return e.pending.start
}

// commitLocked waits until the batch that starts at ticket is durable, and with it
// all before it. Whoever comes while none is written writes, for all who wait; so a
// writer alone does not wait for another goroutine. It releases mu.
func (e *Engine) commitLocked(ticket uint64) error {
	yielded := false
	for {
		if err := e.Err(); err != nil {
			e.wake(e.pending) // or they would wait for one who is not to come
			e.mu.Unlock()
			return err
		}
		if e.synced > ticket || (e.pending.start == ticket && e.pending.empty()) {
			e.mu.Unlock()
			return nil
		}
		if e.flying == nil {
			if e.crowd > 1 && !yielded {
				// Those who waited for the last batch are awake and about to write
				// again: one round of company is worth more than being first.
				yielded = true
				e.mu.Unlock()
				runtime.Gosched()
				e.mu.Lock()
				continue
			}
			e.lead()
			continue
		}
		e.await(ticket)
	}
}

// await waits for the batch that starts at ticket, or for the turn to write it.
func (e *Engine) await(ticket uint64) {
	b := e.flying
	var turn chan struct{}
	if ticket >= e.pending.start {
		b, turn = e.pending, e.turn
		b.waiters++
	}
	if b.done == nil {
		b.done = make(chan struct{})
	}
	done := b.done
	e.mu.Unlock()
	select {
	case <-done:
		e.mu.Lock()
	case <-turn:
		e.mu.Lock()
		if ticket < e.pending.start {
			// Who came by wrote b before this one got here: it is another's turn.
			e.pass()
		}
	}
}

// pass gives one of those who wait for pending the turn, unless one writes, who does.
func (e *Engine) pass() {
	if e.flying != nil || e.pending.waiters == 0 {
		return
	}
	select {
	case e.turn <- struct{}{}:
	default: // one is there that nobody took yet
	}
}

// wake wakes all who wait for b.
func (e *Engine) wake(b *batch) {
	if b.done != nil {
		close(b.done)
		b.done = nil
	}
}

// lead writes what is pending. It releases mu meanwhile.
func (e *Engine) lead() {
	b := e.pending
	e.flying = b
	if e.pending = e.idle; e.pending == nil {
		e.pending = newBatch(0)
	}
	e.idle, e.pending.start = nil, b.end()
	segment := e.segments[len(e.segments)-1]
	e.mu.Unlock()
	sum, err := e.write(b, segment)
	e.mu.Lock()
	if e.flying = nil; err == nil {
		e.synced, e.previous, e.crowd = b.end(), sum, b.waiters
	}
	e.wake(b)
	e.pass()
	e.idle = b.reuse(0)
}

// write makes b durable at the end of the log.
func (e *Engine) write(b *batch, segment *segment) (sum uint32, err error) {
	size := blocks(len(b.buf))
	offset := segment.offset(b.start)
	if offset+int64(size) > segment.size && b.start > segment.start {
		if segment, err = e.rotate(b.start); err != nil {
			return 0, err
		}
		offset = segment.offset(b.start)
	}
	records := b.buf[batchHeaderLen:]
	h := batchHeader{
		payload: checksum(records), size: uint32(len(records)), position: b.start, seq: segment.seq, previous: e.previous,
	}
	h.put(b.buf, &e.id)
	whole := b.buf[:size]
	clear(whole[len(b.buf):])
	if err := e.Err(); err != nil {
		return 0, err
	}
	if err := segment.file.WriteSync(whole, offset); err != nil {
		return 0, e.fail("write", segment.name, err)
	}
	e.counts.batches.Add(1)
	e.counts.bytes.Add(uint64(size))
	if end := offset + int64(size); end > segment.size {
		e.mu.Lock()
		segment.size = end
		e.mu.Unlock()
	}
	return h.sum, nil
}

// runBytes is how much is read at once, gapBytes how much of other things between.
const (
	runBytes = 1 << 20
	gapBytes = 32 << 10
)

// readRun reads the first records of at, as many as are close to each other in one
// file, and returns how many: they lie in what it returns as in the log, from the
// first one's position on. That is in buf if it is large enough.
func (e *Engine) readRun(at []location, buf []byte) (read []byte, n int, err error) {
	first := at[0]
	e.mu.Lock()
	for _, b := range []*batch{e.flying, e.pending} {
		if written := b.slice(first); written != nil {
			read = append(buf[:0], written...)
			e.mu.Unlock()
			return read, 1, nil
		}
	}
	segment := e.segmentOf(first.position)
	// What is not written yet is in no file, and neither is what is of the next.
	limit := e.synced
	if segment != nil && segment != e.segments[len(e.segments)-1] {
		limit = min(limit, e.segments[segment.seq-e.segments[0].seq+1].start)
	}
	e.mu.Unlock()
	if segment == nil {
		return nil, 0, fmt.Errorf("%w: position %d", errMissing, first.position)
	}
	stop := first.position + uint64(first.size)
	for n = 1; n < len(at); n++ {
		end := at[n].position + uint64(at[n].size)
		if at[n].position < stop || at[n].position-stop > gapBytes || end > limit || end-first.position > runBytes {
			break
		}
		stop = end
	}
	if size := int(stop - first.position); cap(buf) < size {
		buf = make([]byte, size)
	}
	buf = buf[:stop-first.position]
	offset := segment.offset(first.position)
	if _, err := segment.file.ReadAt(buf, offset); err != nil {
		return nil, 0, fmt.Errorf("%s at %d: %w", filepath.Base(segment.name), offset, err)
	}
	return buf, n, nil
}

// where returns file and offset of a position, for errors.
func (e *Engine) where(position uint64) (name string, offset int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if segment := e.segmentOf(position); segment != nil {
		return filepath.Base(segment.name), segment.offset(position)
	}
	return "", 0
}
