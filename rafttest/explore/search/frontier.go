package search

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// frontier is the layer that is being expanded.
type frontier interface {
	// fill appends up to n entries that nobody had yet. One goroutine calls it at
	// a time.
	fill(buf []byte, n int) ([]byte, error)
	close()
}

// memoryFrontier is a layer that lies in the shards. Their records stay there
// while others are added behind them; the bodies are this frontier's.
type memoryFrontier struct {
	pool  *pool
	bits  uint
	parts []frontierPart
}

type frontierPart struct {
	recs, refs, bodies [][]byte
	start, at, end     int // numbers of records
}

// takeLayer makes the layer that was built the frontier.
func (s *set) takeLayer() *memoryFrontier {
	f := &memoryFrontier{pool: &s.pool, bits: s.shards[0].chunkBits, parts: make([]frontierPart, len(s.shards))}
	for i := range s.shards {
		sh := &s.shards[i]
		f.parts[i] = frontierPart{recs: sh.recs, refs: sh.refs, bodies: sh.bodies, start: sh.start, at: sh.start, end: sh.n}
		sh.refs, sh.bodies, sh.fill, sh.start = nil, nil, 0, sh.n
	}
	return f
}

func (f *memoryFrontier) fill(buf []byte, n int) ([]byte, error) {
	for len(f.parts) > 0 && n > 0 {
		p := &f.parts[0]
		if p.at == p.end {
			f.pool.put(p.refs)
			f.pool.put(p.bodies)
			f.parts = f.parts[1:]
			continue
		}
		body := bodyAt(p.refs, p.bodies, f.bits, p.at-p.start)
		buf = append(buf, recordAt(p.recs, f.bits, p.at)...)
		buf = append(buf, body[:bodySize(body)]...)
		p.at++
		n--
	}
	return buf, nil
}

func (f *memoryFrontier) close() {
	for _, p := range f.parts {
		f.pool.put(p.refs)
		f.pool.put(p.bodies)
	}
	f.parts = nil
}

// entryReader reads a file of entries, such as a frontier or candidates.
type entryReader struct {
	f *os.File
	r *bufio.Reader
}

func openEntries(dir string, info fileInfo, buffer int) (*entryReader, error) {
	f, err := os.Open(filepath.Join(dir, info.Name))
	if err != nil {
		return nil, err
	}
	return &entryReader{f: f, r: bufio.NewReaderSize(f, buffer)}, nil
}

// next appends an entry to buf. At the end it returns io.EOF.
func (e *entryReader) next(buf []byte) ([]byte, error) {
	const head = recordSize + bodyHeader
	h, err := e.r.Peek(head)
	if err != nil {
		if errors.Is(err, io.EOF) && len(h) == 0 {
			return buf, io.EOF
		}
		return buf, fmt.Errorf("%s: entry of %d bytes: %w", e.f.Name(), len(h), err)
	}
	n := recordSize + bodySize(h[recordSize:])
	at := len(buf)
	buf = growBy(buf, n)
	if _, err := io.ReadFull(e.r, buf[at:]); err != nil {
		return buf[:at], fmt.Errorf("%s: entry of %d bytes: %w", e.f.Name(), n, err)
	}
	return buf, nil
}

func growBy(b []byte, n int) []byte {
	if cap(b)-len(b) < n {
		b = append(b, make([]byte, n)...)
		return b
	}
	return b[:len(b)+n]
}

func (e *entryReader) fill(buf []byte, n int) ([]byte, error) {
	for ; n > 0; n-- {
		var err error
		if buf, err = e.next(buf); err != nil {
			if isEnd(err) {
				return buf, nil
			}
			return buf, err
		}
	}
	return buf, nil
}

func (e *entryReader) close() { _ = e.f.Close() } // it was only read
