package raft

import (
	"errors"
	"fmt"

	pb "github.com/quorate-raft/raft/raftpb"
)

// checkRead checks what Storage returned for [lo, hi): entries from lo on, with
// one index after the other and the terms that the log has there. A disk may
// return what lies elsewhere, or what was there before; a node that took it for
// its log would apply it, or send it to others, as committed.
func (l *raftLog) checkRead(ents []pb.Entry, lo, hi uint64) error {
	n := uint64(len(ents))
	if n == 0 || n > hi-lo {
		return fmt.Errorf("%d entries returned", n)
	}
	if l.terms.covers(lo) {
		return l.checkKnownTerms(ents, lo)
	}
	known := 0 // the first entry whose term is known without asking Storage
	prev := uint64(0)
	for i := range ents {
		e := &ents[i]
		switch {
		case e.Index != lo+uint64(i):
			return wrongIndex(e, lo+uint64(i))
		case e.Term < prev:
			return fmt.Errorf("entry %d of term %d returned after one of term %d", e.Index, e.Term, prev)
		}
		if !l.terms.covers(e.Index) {
			known = i + 1
		}
		prev = e.Term
	}
	if err := l.checkOldTerms(ents[:known]); err != nil {
		return err
	}
	return l.checkKnownTerms(ents[known:], lo+uint64(known))
}

// checkKnownTerms checks entries from lo on that the log's list of terms covers.
func (l *raftLog) checkKnownTerms(ents []pb.Entry, lo uint64) error {
	for len(ents) > 0 {
		run, end := l.terms.stretch(lo)
		n := min(uint64(len(ents)), end-lo)
		for i := range ents[:n] {
			e := &ents[i]
			if e.Index != lo+uint64(i) {
				return wrongIndex(e, lo+uint64(i))
			}
			if e.Term != run.term {
				return wrongTerm(e, run.term)
			}
		}
		ents, lo = ents[n:], lo+n
	}
	return nil
}

func wrongIndex(e *pb.Entry, index uint64) error {
	return fmt.Errorf("entry %d returned as entry %d", e.Index, index)
}

// checkOldTerms asks Storage for the terms of older entries. They do not decrease,
// so that the ends tell enough where both have the same.
func (l *raftLog) checkOldTerms(ents []pb.Entry) error {
	step := 1
	if n := len(ents); n > 1 && ents[0].Term == ents[n-1].Term {
		step = n - 1
	}
	for i := 0; i < len(ents); i += step {
		term, err := l.storage.Term(ents[i].Index)
		switch {
		case errors.Is(err, ErrCompacted):
			// Meanwhile, by the host.
		case err != nil:
			return err
		case term != ents[i].Term:
			return wrongTerm(&ents[i], term)
		}
	}
	return nil
}

func wrongTerm(e *pb.Entry, want uint64) error {
	return fmt.Errorf("entry %d returned with term %d, its term is %d", e.Index, e.Term, want)
}
