package search

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
)

// A run is a file of records sorted by fingerprint. The runs of a search hold the
// states of all finished layers, each once.

// runReader goes through a run from its first record.
type runReader struct {
	f    *os.File
	r    *bufio.Reader
	rec  [recordSize]byte
	fp   Fingerprint
	done bool
}

func openRun(dir string, info fileInfo, buffer int) (*runReader, error) {
	f, err := os.Open(filepath.Join(dir, info.Name))
	if err != nil {
		return nil, err
	}
	r := &runReader{f: f, r: bufio.NewReaderSize(f, buffer)}
	if err := r.next(); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// next goes to the next record, or sets done.
func (r *runReader) next() error {
	if _, err := io.ReadFull(r.r, r.rec[:]); err != nil {
		if errors.Is(err, io.EOF) {
			r.done = true
			return nil
		}
		return fmt.Errorf("read %s: %w", r.f.Name(), err)
	}
	r.fp, _ = recordOf(r.rec[:])
	return nil
}

func (r *runReader) close() { _ = r.f.Close() } // it was only read

// runCursor answers for ascending fingerprints whether they are in some run.
type runCursor struct {
	readers []*runReader
}

func (s *store) openRuns() (*runCursor, error) {
	c := &runCursor{}
	for _, info := range s.runs {
		r, err := openRun(s.dir.path, info, s.dir.buffer)
		if err != nil {
			c.close()
			return nil, err
		}
		c.readers = append(c.readers, r)
	}
	return c, nil
}

func (c *runCursor) holds(fp Fingerprint) (bool, error) {
	for _, r := range c.readers {
		for !r.done && r.fp.less(fp) {
			if err := r.next(); err != nil {
				return false, err
			}
		}
		if !r.done && r.fp == fp {
			return true, nil
		}
	}
	return false, nil
}

func (c *runCursor) close() {
	for _, r := range c.readers {
		r.close()
	}
}

// addRun adds the run of a layer. Runs of similar length are merged, so that each
// is more than twice as long as the next: there are no more of them than
// log2(states), and a record is copied about as often.
func (s *store) addRun(info fileInfo) error {
	s.runs = append(s.runs, info)
	for n := len(s.runs); n >= 2 && s.runs[n-2].Bytes <= 2*s.runs[n-1].Bytes; n = len(s.runs) {
		merged, err := s.mergeRuns(s.runs[n-2], s.runs[n-1])
		if err != nil {
			return err
		}
		// The manifest still names the old ones: they go when the next is saved.
		s.runs = append(slices.Clone(s.runs[:n-2]), merged)
	}
	return nil
}

func (s *store) mergeRuns(a, b fileInfo) (_ fileInfo, err error) {
	ra, err := openRun(s.dir.path, a, s.dir.buffer)
	if err != nil {
		return fileInfo{}, err
	}
	defer ra.close()
	rb, err := openRun(s.dir.path, b, s.dir.buffer)
	if err != nil {
		return fileInfo{}, err
	}
	defer rb.close()
	w, err := s.dir.create("run")
	if err != nil {
		return fileInfo{}, err
	}
	for !ra.done || !rb.done {
		r := ra
		if ra.done || !rb.done && rb.fp.less(ra.fp) {
			r = rb
		}
		if _, err = w.Write(r.rec[:]); err == nil {
			err = r.next()
		}
		if err != nil {
			w.abandon()
			return fileInfo{}, err
		}
	}
	return w.finish()
}

// parentOf returns the record of the state whose fingerprint begins with hi.
func (s *store) parentOf(hi uint64) ([]byte, bool, error) {
	for _, info := range s.runs {
		rec, ok, err := s.searchRun(info, hi)
		if ok || err != nil {
			return rec, ok, err
		}
	}
	return nil, false, nil
}

func (s *store) searchRun(info fileInfo, hi uint64) (_ []byte, ok bool, err error) {
	f, err := os.Open(filepath.Join(s.dir.path, info.Name))
	if err != nil {
		return nil, false, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	rec := make([]byte, recordSize)
	read := func(i int) uint64 {
		if _, rerr := f.ReadAt(rec, int64(i)*recordSize); rerr != nil && err == nil {
			err = rerr
		}
		return order.Uint64(rec)
	}
	n := int(info.records())
	i := sort.Search(n, func(i int) bool { return read(i) >= hi })
	if err != nil || i == n {
		return nil, false, err
	}
	return rec, read(i) == hi, err
}
