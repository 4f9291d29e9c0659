package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/storage/internal/grouplog"
)

var (
	errUnknownKey = errors.New("no record has such a key")
	errOrder      = errors.New("the records of the log contradict each other")
	errChanged    = errors.New("the record is not what was written")
)

// load reads what is known of a group in memory: its few records and its last
// entry.
func (e *Engine) load(id uint64) (grouplog.State, error) {
	var st grouplog.State
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
		if err := loadRecord(&st, k, it); err != nil {
			return st, err
		}
	}
	if err := it.Error(); err != nil {
		return st, readError(at, err)
	}
	st.Last = st.Base.Index
	if !it.Valid() {
		return st, checkLoaded(&st, id, 0, nil)
	}
	first := at.index
	if !it.Last() {
		return st, readError(entries, errors.Join(errMissing, it.Error()))
	}
	last, err := readEntry(id, it)
	if err != nil {
		return st, err
	}
	st.Last = last.Index
	return st, checkLoaded(&st, id, first, &last)
}

// loadRecord takes the record that it is at.
func loadRecord(st *grouplog.State, k key, it *pebble.Iterator) error {
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
		st.Base = grouplog.EntryID{Index: binary.BigEndian.Uint64(payload), Term: binary.BigEndian.Uint64(payload[8:])}
	case kindHard:
		err = st.Hard.Unmarshal(payload)
	case kindConf:
		if len(payload) < 8 {
			return corruptRecord(k, errShort)
		}
		st.ConfAt = binary.BigEndian.Uint64(payload)
		err = st.Conf.Unmarshal(payload[8:])
	case kindSnapshot:
		var snap pb.Snapshot
		err = snap.Unmarshal(payload)
		st.Snap = snap.Metadata.Index
	case kindTerm:
		if len(payload) != 8 {
			return corruptRecord(k, errShort)
		}
		st.Runs = append(st.Runs, grouplog.TermRun{Start: k.index, Term: binary.BigEndian.Uint64(payload)})
	case kindChange:
		st.Changes = append(st.Changes, k.index)
	}
	if err != nil {
		return corruptRecord(k, err)
	}
	return nil
}

// checkLoaded compares what is known of the log with its first and last entry.
func checkLoaded(st *grouplog.State, id, first uint64, last *pb.Entry) error {
	if last == nil {
		if len(st.Runs) > 0 {
			return corruptRecord(key{id, kindEntry, st.Runs[0].Start}, errMissing)
		}
		return nil
	}
	if first != st.Base.Index+1 {
		return corruptRecord(key{id, kindEntry, st.Base.Index + 1}, errMissing)
	}
	if len(st.Runs) == 0 || st.Runs[0].Start != first {
		return corruptRecord(key{id, kindTerm, first}, errMissing)
	}
	run := st.Runs[len(st.Runs)-1]
	if run.Start > last.Index {
		return corruptRecord(key{id, kindEntry, run.Start}, errMissing)
	}
	if run.Term != last.Term {
		return corruptRecord(key{id, kindEntry, last.Index},
			fmt.Errorf("%w: it is of term %d, the log says %d", errOrder, last.Term, run.Term))
	}
	if n := len(st.Changes); n > 0 && st.Changes[n-1] > last.Index {
		return corruptRecord(key{id, kindEntry, st.Changes[n-1]}, errMissing)
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

// compare reports a record of which the state, as it was read, is not as it is known.
func compare(group uint64, st, known *grouplog.State) error {
	for _, record := range []struct {
		kind kind
		same bool
	}{
		{kindBase, st.Base == known.Base},
		{kindHard, st.Hard == known.Hard},
		{kindConf, st.ConfAt == known.ConfAt},
		{kindSnapshot, st.Snap == known.Snap},
		{kindTerm, slices.Equal(st.Runs, known.Runs)},
		{kindChange, slices.Equal(st.Changes, known.Changes)},
		{kindEntry, st.Last == known.Last},
	} {
		if !record.same {
			return corruptRecord(key{group: group, kind: record.kind}, errChanged)
		}
	}
	return nil
}
