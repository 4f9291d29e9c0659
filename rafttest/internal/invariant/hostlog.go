package invariant

// hostLog is a log as its host knows it: from what it was asked to write. Terms
// are kept as a list of where each begins.
type hostLog struct {
	runs  []run // the first begins at the first index whose term is known
	last  uint64
	confs []uint64 // indexes of changes of configuration, ascending
}

type run struct{ start, term uint64 }

// reset begins the log after an entry.
func (l *hostLog) reset(id entryID) {
	l.runs = append(l.runs[:0], run{id.index, id.term})
	l.last = id.index
	l.confs = l.confs[:0]
}

func (l *hostLog) push(term uint64, conf bool) {
	l.last++
	if l.runs[len(l.runs)-1].term != term {
		l.runs = append(l.runs, run{l.last, term})
	}
	if conf {
		l.confs = append(l.confs, l.last)
	}
}

// truncate drops what is after index, which the log holds.
func (l *hostLog) truncate(index uint64) {
	for l.runs[len(l.runs)-1].start > index {
		l.runs = l.runs[:len(l.runs)-1]
	}
	for len(l.confs) > 0 && l.confs[len(l.confs)-1] > index {
		l.confs = l.confs[:len(l.confs)-1]
	}
	l.last = index
}

// term returns the term of entry i, and whether it is known.
func (l *hostLog) term(i uint64) (uint64, bool) {
	if i > l.last || i < l.runs[0].start {
		return 0, false
	}
	k := len(l.runs) - 1
	for l.runs[k].start > i {
		k--
	}
	return l.runs[k].term, true
}

func (l *hostLog) end() entryID { return entryID{l.runs[len(l.runs)-1].term, l.last} }

// lastConf returns the newest change of configuration in the log, or 0.
func (l *hostLog) lastConf() uint64 {
	if len(l.confs) == 0 {
		return 0
	}
	return l.confs[len(l.confs)-1]
}

// prune forgets terms before low, and changes that the log goes on from.
func (l *hostLog) prune(low uint64) {
	n := 0
	for n+1 < len(l.runs) && l.runs[n+1].start <= low {
		n++
	}
	l.runs = append(l.runs[:0], l.runs[n:]...)
	if l.runs[0].start < low && low <= l.last {
		l.runs[0].start = low
	}
	n = 0
	for n+1 < len(l.confs) && l.confs[n+1] <= low {
		n++
	}
	l.confs = append(l.confs[:0], l.confs[n:]...)
}
