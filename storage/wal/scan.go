package wal

import (
	"errors"
	"fmt"
	"io"
)

// scanner reads batches from the oldest on. It serves to open a log, and to verify one.
type scanner struct {
	id       *logID
	segments []*segment
	// limit is where to stop, or 0.
	limit uint64

	current int
	// position is where the next batch is due, last the header of the one before.
	position uint64
	last     batchHeader
	began    bool
	window   window
}

func (s *scanner) at() *segment { return s.segments[s.current] }

// next returns the records of the next batch, which are valid until it is called
// again, and nil where no valid batch follows.
func (s *scanner) next() ([]byte, error) {
	if s.limit > 0 && s.position >= s.limit {
		return nil, nil
	}
	h, records, err := s.batch(s.at(), s.position)
	if err == nil && records == nil && s.current+1 < len(s.segments) && s.began {
		// The batch may not have fit, and be the first of the next segment.
		next := s.segments[s.current+1]
		next.start = s.position
		if h, records, err = s.batch(next, s.position); records != nil {
			s.current++
		}
	}
	if err != nil || records == nil {
		return nil, err
	}
	s.began, s.last = true, h
	s.position = h.position + uint64(blocks(batchHeaderLen+len(records)))
	return records, nil
}

// batch reads the batch at a position, or nil if there is no valid one. The position
// of the first is what it says itself.
func (s *scanner) batch(segment *segment, position uint64) (h batchHeader, records []byte, err error) {
	offset := int64(blockSize)
	if s.began {
		offset = segment.offset(position)
	}
	b, err := s.window.read(segment, offset, batchHeaderLen)
	if err != nil || !h.parse(b, s.id) || h.seq != segment.seq {
		return h, nil, err
	}
	if s.began && (h.position != position || h.previous != s.last.sum) {
		return h, nil, nil
	}
	if int64(h.size) > segment.size-offset { // or damage could ask for any amount of memory
		return h, nil, nil
	}
	b, err = s.window.read(segment, offset, batchHeaderLen+int(h.size))
	if err != nil || len(b) < batchHeaderLen+int(h.size) {
		return h, nil, err
	}
	records = b[batchHeaderLen:]
	if checksum(records) != h.payload {
		return h, nil, nil
	}
	if !s.began {
		segment.start = h.position
	}
	return h, records, nil
}

// checkEnd is for where the log ends: what is damaged there was torn by a crash and
// never acknowledged, unless something is found after it. A batch is written only
// once the one before is durable.
func (s *scanner) checkEnd() error {
	if !s.began {
		if s.segments[0].seq > 1 {
			// What was before it was given up because it was here.
			return corruptSegment(s.at().name, blockSize, "%w", errMissing)
		}
		s.position = firstPosition
		s.at().start = firstPosition
	}
	for i, segment := range s.segments[s.current:] {
		from := int64(blockSize)
		if i == 0 {
			from = segment.offset(s.position)
		}
		for offset := from; offset < segment.size; offset += blockSize {
			b, err := s.window.read(segment, offset, batchHeaderLen)
			if err != nil {
				return err
			}
			var h batchHeader
			if h.parse(b, s.id) && h.seq == segment.seq && h.position > s.position {
				return corruptSegment(s.at().name, s.at().offset(s.position), "%w, in %s at %d", errSynced, segment.name, offset)
			}
		}
	}
	return nil
}

// rewrite makes the last batch durable, if there is one, by the same bytes once more: after
// a sync that failed another one may succeed and do nothing.
func (s *scanner) rewrite() error {
	if !s.began {
		return nil
	}
	segment := s.at()
	offset, size := segment.offset(s.last.position), batchHeaderLen+int(s.last.size)
	b, err := s.window.read(segment, offset, size)
	if err != nil {
		return err
	}
	var h batchHeader
	if !h.parse(b, s.id) || h != s.last || checksum(b[batchHeaderLen:]) != h.payload {
		return corruptSegment(segment.name, offset, "%w", errChecksum)
	}
	whole := alignedBytes(blocks(size))
	copy(whole, b)
	if err := segment.file.WriteSync(whole, offset); err != nil {
		return fmt.Errorf("wal: writing %s again at %d: %w", segment.name, offset, err)
	}
	return nil
}

// window is a part of a file in memory.
type window struct {
	of  *segment
	off int64
	buf []byte
}

const windowBytes = 1 << 20

// read returns n bytes of a segment, fewer at its end.
func (w *window) read(segment *segment, offset int64, n int) ([]byte, error) {
	if w.of == segment && offset >= w.off && offset+int64(n) <= w.off+int64(len(w.buf)) {
		return w.buf[offset-w.off:][:n], nil
	}
	size := max(n, int(min(windowBytes, segment.size)))
	if cap(w.buf) < size {
		w.buf = make([]byte, size)
	}
	w.buf = w.buf[:size]
	got, err := segment.file.ReadAt(w.buf, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("wal: reading %s at %d: %w", segment.name, offset, err)
	}
	w.of, w.off, w.buf = segment, offset, w.buf[:got]
	return w.buf[:min(n, got)], nil
}
