package store

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Entry is a key with its value and the revision, the log index, that wrote it.
type Entry struct {
	Key, Value []byte
	Revision   uint64
}

// Get returns the value of a key and the revision that wrote it, or that there is
// none. It reads what is applied here; for a linearizable read, call
// replica.Replica.Read first.
func (s *Store) Get(key []byte) (value []byte, revision uint64, found bool, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(); err != nil {
		return nil, 0, false, err
	}
	defer func() {
		if err = s.blame(err); err != nil {
			value, revision, found = nil, 0, false
		}
	}()
	record, done, err := s.db.Get(appendKey(nil, s.generation, key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, 0, false, nil
	}
	if err != nil {
		return nil, 0, false, fmt.Errorf("store: get %q: %w", key, err)
	}
	defer done.Close()
	revision, value, err = parseEntry(record)
	return bytes.Clone(value), revision, err == nil, err
}

// Page is a part of a range.
type Page struct {
	// Entries are in the order of their keys.
	Entries []Entry
	// Next is where the rest of the range begins, nil if this is all of it.
	Next []byte
	// Revision is the index that the state was of: changes after it are not in the
	// page, all before it are. A Watch from the Revision of the first page on tells of
	// all that later pages may or may not hold.
	Revision uint64
}

// maxPageBytes bounds the keys and values of a page: beyond it no entry is added.
const maxPageBytes = 4 << 20

// Range returns the keys from from on and before to, at most limit of them, or as
// many as fit into some MiB. No to is no end, no limit is a limit of 0. A page is
// of one state; the next, with from set to Next, may be of a later one.
func (s *Store) Range(from, to []byte, limit int) (page Page, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(); err != nil {
		return page, err
	}
	defer func() {
		if err = s.blame(err); err != nil {
			page = Page{}
		}
	}()
	it, err := s.db.NewIter(nil)
	if err != nil {
		return page, fmt.Errorf("store: range: %w", err)
	}
	defer func() {
		if failed := errors.Join(err, it.Close()); failed != nil {
			err = fmt.Errorf("store: range: %w", failed)
		}
	}()
	// The iterator sees the index and the keys of one moment.
	if it.SeekGE(metaKey) && bytes.Equal(it.Key(), metaKey) {
		m, err := parseMeta(it.Value())
		if err != nil {
			return page, err
		}
		page.Revision = m.applied
	}
	end := append(generationPrefix(s.generation), keysEnd)
	if len(to) > 0 {
		end = appendKey(nil, s.generation, to)
	}
	start := appendKey(nil, s.generation, from)
	if bytes.Compare(start, end) >= 0 {
		return page, nil
	}
	it.SetBounds(start, end)
	size := 0
	for valid := it.First(); valid; valid = it.Next() {
		key := bytes.Clone(it.Key()[prefixLen+1:])
		if limit > 0 && len(page.Entries) == limit || size >= maxPageBytes {
			page.Next = key
			break
		}
		revision, value, err := parseEntry(it.Value())
		if err != nil {
			return page, err
		}
		size += len(key) + len(value) + 32
		page.Entries = append(page.Entries, Entry{Key: key, Value: bytes.Clone(value), Revision: revision})
	}
	return page, nil
}
