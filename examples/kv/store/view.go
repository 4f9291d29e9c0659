package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate-raft/raft/replica"
)

// A snapshot is a header, then frames: the length of the payload, the payload, and
// a CRC-32C of everything before it, from the first byte of the snapshot on, but
// other checksums. So no frame can be left out, repeated or moved. The payload is a
// sequence of whole records, each its key and value after their lengths. A frame
// without payload is the end. Nothing in it depends on when or where it was written.
const (
	snapshotHeader = "raftkv snapshot 1\n"

	// frameBytes is how long a frame's payload gets before the next begins.
	frameBytes = 64 << 10
	// maxRecord bounds a record, maxFrame a payload.
	maxRecord = 2*binary.MaxVarintLen32 + 1 + MaxKeySize + revisionLen + MaxValueSize
	maxFrame  = frameBytes + maxRecord
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// view is the state at one moment.
type view struct {
	s          *Store
	snapshot   *pebble.Snapshot
	generation uint64
}

// View returns the state as of the last command. It is a Pebble snapshot: while it is
// open, what it holds stays on the disk.
func (s *Store) View() (replica.View, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	v := &view{s: s, snapshot: s.db.NewSnapshot(), generation: s.generation}
	s.viewsMu.Lock()
	defer s.viewsMu.Unlock()
	s.views[v] = struct{}{}
	return v, nil
}

// Close releases the view.
func (v *view) Close() error {
	v.s.viewsMu.Lock()
	defer v.s.viewsMu.Unlock()
	if _, open := v.s.views[v]; !open {
		return nil
	}
	delete(v.s.views, v)
	return v.snapshot.Close()
}

func (v *view) isOpen() bool {
	v.s.viewsMu.Lock()
	defer v.s.viewsMu.Unlock()
	_, open := v.s.views[v]
	return open
}

// WriteTo writes the state. It holds one frame in memory. What it wrote before an error
// is not to be used.
func (v *view) WriteTo(w io.Writer) (n int64, err error) {
	v.s.streams.RLock()
	defer v.s.streams.RUnlock()
	if !v.isOpen() {
		return 0, ErrClosed
	}
	if err := v.s.failure(); err != nil {
		return 0, err
	}
	defer func() { err = v.s.blame(err) }()
	prefix := generationPrefix(v.generation)
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: generationPrefix(v.generation + 1)})
	if err != nil {
		return 0, fmt.Errorf("store: snapshot: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	f := frameWriter{w: w}
	f.begin()
	for valid := it.First(); valid; valid = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return f.n, fmt.Errorf("store: snapshot: %w", err)
		}
		f.record(it.Key()[prefixLen:], value)
	}
	if err := it.Error(); err != nil {
		return f.n, fmt.Errorf("store: snapshot: %w", err)
	}
	f.end()
	return f.n, f.err
}

// frameWriter writes a snapshot. After an error it writes nothing more.
type frameWriter struct {
	w    io.Writer
	n    int64
	err  error
	sum  uint32
	open []byte // the frame that is being filled, from its length on
}

func (f *frameWriter) write(b []byte) {
	if f.err != nil {
		return
	}
	n, err := f.w.Write(b)
	f.n += int64(n)
	f.err = err
}

// summed writes b and adds it to the checksum.
func (f *frameWriter) summed(b []byte) {
	f.write(b)
	f.sum = crc32.Update(f.sum, castagnoli, b)
}

func (f *frameWriter) begin() {
	f.summed([]byte(snapshotHeader))
	f.open = make([]byte, 4, frameBytes+4)
}

func (f *frameWriter) record(key, value []byte) {
	f.open = appendBytes(appendBytes(f.open, key), value)
	if len(f.open)-4 >= frameBytes {
		f.frame()
	}
}

func (f *frameWriter) frame() {
	binary.BigEndian.PutUint32(f.open, uint32(len(f.open)-4))
	f.summed(f.open)
	f.write(binary.BigEndian.AppendUint32(nil, f.sum))
	f.open = f.open[:4]
}

// end writes what is left, and the end.
func (f *frameWriter) end() {
	if len(f.open) > 4 {
		f.frame()
	}
	f.frame()
}
