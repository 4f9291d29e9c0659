package pebblestore

import (
	"slices"
	"sort"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// entryID names an entry.
type entryID struct{ index, term uint64 }

// termRun says that a term begins at an index.
type termRun struct{ start, term uint64 }

// logState is what is known of a group in memory. Its slices are only appended
// to, never overwritten, so a copy of the struct is a copy of the state.
type logState struct {
	// base is the entry before the first.
	base entryID
	last uint64
	// runs are where terms begin in (base, last]: the first of them is at
	// base.index+1 unless the log is empty.
	runs []termRun
	// changes are the indexes of configuration entries.
	changes []uint64
	hard    pb.HardState
	conf    pb.ConfState
	// confAt is the index that conf counts as being of.
	confAt uint64
	// snap is the snapshot's index, or 0.
	snap uint64
}

// run returns which of runs index, which is in the log, belongs to.
func (st *logState) run(index uint64) int {
	return sort.Search(len(st.runs), func(i int) bool { return st.runs[i].start > index }) - 1
}

// term returns the term of an index in [base, last].
func (st *logState) term(index uint64) uint64 {
	if index == st.base.index {
		return st.base.term
	}
	return st.runs[st.run(index)].term
}

// checkTerm says why the term of index is not known.
func (st *logState) checkTerm(index uint64) error {
	switch {
	case index < st.base.index:
		return raft.ErrCompacted
	case index > st.last:
		return raft.ErrUnavailable
	}
	return nil
}

// checkRange says why [lo, hi) is not in the log.
func (st *logState) checkRange(lo, hi uint64) error {
	switch {
	case lo <= st.base.index:
		return raft.ErrCompacted
	case hi > st.last+1 || lo >= hi:
		return raft.ErrUnavailable
	}
	return nil
}

// truncate forgets the entries from index on, and returns what else goes.
func (st *logState) truncate(index uint64) (runs []termRun, changes []uint64) {
	if index > st.last {
		return nil, nil
	}
	r := sort.Search(len(st.runs), func(i int) bool { return st.runs[i].start >= index })
	c, _ := slices.BinarySearch(st.changes, index)
	runs, changes = st.runs[r:], st.changes[c:]
	// The capacity goes too: what comes next must not overwrite what readers hold.
	st.runs, st.changes = st.runs[:r:r], st.changes[:c:c]
	st.last = index - 1
	return runs, changes
}

// push adds an entry to the end, and reports whether it begins a run.
func (st *logState) push(e *pb.Entry) (begins bool) {
	begins = st.last == st.base.index || st.runs[len(st.runs)-1].term != e.Term
	if begins {
		st.runs = append(st.runs, termRun{e.Index, e.Term})
	}
	if e.Type != pb.EntryNormal {
		st.changes = append(st.changes, e.Index)
	}
	st.last = e.Index
	return begins
}

// compact forgets the entries up to and including index, which is in the log.
// It returns what else goes, and the run that begins with the new first entry
// if it has to be written.
func (st *logState) compact(index uint64) (runs []termRun, changes []uint64, begins *termRun) {
	r := sort.Search(len(st.runs), func(i int) bool { return st.runs[i].start > index })
	c, _ := slices.BinarySearch(st.changes, index+1)
	runs, changes = st.runs[:r], st.changes[:c]
	rest := st.runs[r:]
	term := st.term(index)
	if index < st.last && (len(rest) == 0 || rest[0].start != index+1) {
		begins = &termRun{index + 1, term}
		rest = append([]termRun{*begins}, rest...)
	} else {
		rest = slices.Clone(rest)
	}
	st.runs, st.changes = rest, slices.Clone(st.changes[c:])
	st.base = entryID{index, term}
	return runs, changes, begins
}

// setConf takes a configuration that counts as being of index, unless there is a
// newer one.
func (st *logState) setConf(cs pb.ConfState, at uint64) bool {
	if at < st.confAt {
		return false
	}
	st.conf, st.confAt = cs, at
	return true
}

// confIndex is the index that a configuration counts as being of that came in a
// snapshot at index.
func confIndex(cs *pb.ConfState, index uint64) uint64 {
	if cs.Index == 0 {
		return index
	}
	return cs.Index
}

// cloneConf makes the slices of cs the caller's own.
func cloneConf(cs pb.ConfState) pb.ConfState {
	cs.Voters = slices.Clone(cs.Voters)
	cs.Learners = slices.Clone(cs.Learners)
	cs.VotersOutgoing = slices.Clone(cs.VotersOutgoing)
	cs.LearnersNext = slices.Clone(cs.LearnersNext)
	return cs
}

// compare reports a record of which st, as it was read, is not as it is known.
func (st *logState) compare(group uint64, known *logState) error {
	for _, record := range []struct {
		kind kind
		same bool
	}{
		{kindBase, st.base == known.base},
		{kindHard, st.hard == known.hard},
		{kindConf, st.confAt == known.confAt},
		{kindSnapshot, st.snap == known.snap},
		{kindTerm, slices.Equal(st.runs, known.runs)},
		{kindChange, slices.Equal(st.changes, known.changes)},
		{kindEntry, st.last == known.last},
	} {
		if !record.same {
			return corruptRecord(key{group: group, kind: record.kind}, errChanged)
		}
	}
	return nil
}
