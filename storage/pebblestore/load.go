package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	pb "github.com/quorate-raft/raft/raftpb"
)

var (
	errUnknownKey = errors.New("no record has such a key")
	errOrder      = errors.New("the records of the log contradict each other")
	errChanged    = errors.New("the record is not what was written")
)

// load reads what is known of a group in memory: its few records and its last
// entry.
func (e *Engine) load(id uint64) (logState, error) {
	var st logState
	lower, upper := groupBounds(id)
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return st, readError(key{group: id, kind: kindBase}, err)
	}
	defer it.Close()
	entries := key{group: id, kind: kindEntry}
	at := key{group: id, kind: kindBase}
	for ok := it.First(); ok; ok = it.Next() {
		k, valid := parseKey(it.Key())
		if !valid {
			return st, &CorruptionError{Group: id, Key: fmt.Sprintf("unknown record %x", it.Key()), Err: errUnknownKey}
		}
		at = k
		if k.kind == kindEntry {
			break
		}
		if err := st.loadRecord(k, it); err != nil {
			return st, err
		}
	}
	if err := it.Error(); err != nil {
		return st, readError(at, err)
	}
	st.last = st.base.index
	if !it.Valid() {
		return st, st.checkLoaded(id, 0, nil)
	}
	first := at.index
	if !it.Last() {
		return st, readError(entries, errors.Join(errMissing, it.Error()))
	}
	last, err := readEntry(id, it)
	if err != nil {
		return st, err
	}
	st.last = last.Index
	return st, st.checkLoaded(id, first, &last)
}

// loadRecord takes the record that it is at.
func (st *logState) loadRecord(k key, it *pebble.Iterator) error {
	value, err := it.ValueAndErr()
	if err != nil {
		return readError(k, err)
	}
	payload, err := unseal(it.Key(), value)
	if err != nil {
		return corruptRecord(k, err)
	}
	switch k.kind {
	case kindBase:
		if len(payload) != 16 {
			return corruptRecord(k, errShort)
		}
		st.base = entryID{binary.BigEndian.Uint64(payload), binary.BigEndian.Uint64(payload[8:])}
	case kindHard:
		err = st.hard.Unmarshal(payload)
	case kindConf:
		if len(payload) < 8 {
			return corruptRecord(k, errShort)
		}
		st.confAt = binary.BigEndian.Uint64(payload)
		err = st.conf.Unmarshal(payload[8:])
	case kindSnapshot:
		var snap pb.Snapshot
		err = snap.Unmarshal(payload)
		st.snap = snap.Metadata.Index
	case kindTerm:
		if len(payload) != 8 {
			return corruptRecord(k, errShort)
		}
		st.runs = append(st.runs, termRun{k.index, binary.BigEndian.Uint64(payload)})
	case kindChange:
		st.changes = append(st.changes, k.index)
	}
	if err != nil {
		return corruptRecord(k, err)
	}
	return nil
}

// checkLoaded compares what is known of the log with its first and last entry.
func (st *logState) checkLoaded(id, first uint64, last *pb.Entry) error {
	if last == nil {
		if len(st.runs) > 0 {
			return corruptRecord(key{id, kindEntry, st.runs[0].start}, errMissing)
		}
		return nil
	}
	if first != st.base.index+1 {
		return corruptRecord(key{id, kindEntry, st.base.index + 1}, errMissing)
	}
	if len(st.runs) == 0 || st.runs[0].start != first {
		return corruptRecord(key{id, kindTerm, first}, errMissing)
	}
	run := st.runs[len(st.runs)-1]
	if run.start > last.Index {
		return corruptRecord(key{id, kindEntry, run.start}, errMissing)
	}
	if run.term != last.Term {
		return corruptRecord(key{id, kindEntry, last.Index},
			fmt.Errorf("%w: it is of term %d, the log says %d", errOrder, last.Term, run.term))
	}
	if n := len(st.changes); n > 0 && st.changes[n-1] > last.Index {
		return corruptRecord(key{id, kindEntry, st.changes[n-1]}, errMissing)
	}
	return nil
}

// readEntry reads the entry that it is at.
func readEntry(group uint64, it *pebble.Iterator) (pb.Entry, error) {
	var e pb.Entry
	k, ok := parseKey(it.Key())
	if !ok || k.group != group || k.kind != kindEntry {
		return e, &CorruptionError{Group: group, Key: fmt.Sprintf("unknown record %x", it.Key()), Err: errUnknownKey}
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return e, readError(k, err)
	}
	payload, err := unseal(it.Key(), value)
	if err != nil {
		return e, corruptRecord(k, err)
	}
	if err := e.Unmarshal(payload); err != nil {
		return e, corruptRecord(k, err)
	}
	if e.Index != k.index {
		return e, corruptRecord(k, fmt.Errorf("%w: it says to be entry %d", errOrder, e.Index))
	}
	return e, nil
}
