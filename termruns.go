package raft

// entryID names an entry: two logs that hold the same one are equal up to it
// (Raft §5.3, log matching).
type entryID struct{ term, index uint64 }

// termRun is the start of a stretch of entries with one term.
type termRun struct{ start, term uint64 }

// termRuns knows the terms of the newest part of the log as a list of where
// each term starts, so that a term look-up neither asks Storage nor touches
// entries. It covers [runs[0].start, last index]; older runs are dropped.
type termRuns struct{ runs []termRun }

// maxTermRuns bounds the memory of a group that elects often.
const maxTermRuns = 64

// reset forgets everything but the last entry.
func (t *termRuns) reset(last entryID) {
	t.runs = append(t.runs[:0], termRun{last.index, last.term})
}

// push records that the log now ends with e.
func (t *termRuns) push(e entryID) {
	if t.runs[len(t.runs)-1].term == e.term {
		return
	}
	if len(t.runs) == maxTermRuns {
		n := copy(t.runs, t.runs[maxTermRuns/2:])
		t.runs = t.runs[:n]
	}
	t.runs = append(t.runs, termRun{e.index, e.term})
}

// truncate forgets the entries from index on; last is the entry before.
func (t *termRuns) truncate(last entryID) {
	for len(t.runs) > 0 && t.runs[len(t.runs)-1].start > last.index {
		t.runs = t.runs[:len(t.runs)-1]
	}
	if len(t.runs) == 0 {
		t.reset(last)
	}
}

// covers reports whether term may be asked about index.
func (t *termRuns) covers(index uint64) bool { return index >= t.runs[0].start }

// stretch returns the stretch that index, which is covered, is in, and the first
// index after it.
func (t *termRuns) stretch(index uint64) (r termRun, end uint64) {
	end = noLimit
	for i := len(t.runs) - 1; ; i-- {
		if t.runs[i].start <= index {
			return t.runs[i], end
		}
		end = t.runs[i].start
	}
}

// run returns the stretch that index, which is covered, is in.
func (t *termRuns) run(index uint64) termRun {
	for i := len(t.runs) - 1; ; i-- {
		if t.runs[i].start <= index {
			return t.runs[i]
		}
	}
}
