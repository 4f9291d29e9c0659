package wal

import (
	"encoding/binary"

	"github.com/quorate-raft/raft/storage/internal/grouplog"
)

// maxUvarint is the most bytes that a number takes in a state.
const maxUvarint = binary.MaxVarintLen64

// body encodes all that is known of a group: numbers as varints, those that follow
// each other as differences.
func (st *logState) body() ([]byte, error) {
	conf, err := st.Conf.Marshal()
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, maxUvarint*(13+2*len(st.Runs)+len(st.Changes))+len(conf)+6*len(st.at))
	put := func(numbers ...uint64) {
		for _, n := range numbers {
			b = binary.AppendUvarint(b, n)
		}
	}
	put(st.Base.Index, st.Base.Term, st.Last, st.Hard.Term, st.Hard.Vote, st.Hard.Commit)
	put(st.Snap, st.snapAt.position, uint64(st.snapAt.size), st.ConfAt, uint64(len(conf)))
	b = append(b, conf...)
	put(uint64(len(st.Runs)))
	for _, run := range st.Runs {
		put(run.Start-st.Base.Index, run.Term)
	}
	put(uint64(len(st.Changes)))
	for _, index := range st.Changes {
		put(index - st.Base.Index)
	}
	before := uint64(0)
	for _, at := range st.at {
		// Copies make a position go back; the difference wraps, and so it does again.
		put(at.position-before, uint64(at.size))
		before = at.position
	}
	return b, nil
}

// numbers reads varints, and remembers that one was not there.
type numbers struct {
	b   []byte
	bad bool
}

func (n *numbers) next() uint64 {
	v, size := binary.Uvarint(n.b)
	if size <= 0 {
		n.bad = true
		return 0
	}
	n.b = n.b[size:]
	return v
}

// count reads how many of something follow, each of which takes so many bytes at least.
func (n *numbers) count(each uint64) uint64 {
	v := n.next()
	if v > uint64(len(n.b))/each {
		n.bad = true
		return 0
	}
	return v
}

func (n *numbers) location() location {
	position, size := n.next(), n.next()
	if size > maxRecord || position > maxPosition {
		n.bad = true
	}
	return location{position, uint32(size)}
}

// parseState decodes what body encoded. What it returns without an error does not
// contradict itself.
func parseState(body []byte) (logState, error) {
	n := numbers{b: body}
	var st logState
	st.Base = grouplog.EntryID{Index: n.next(), Term: n.next()}
	st.Last = n.next()
	st.Hard.Term, st.Hard.Vote, st.Hard.Commit = n.next(), n.next(), n.next()
	st.Snap, st.snapAt, st.ConfAt = n.next(), n.location(), n.next()
	size := n.count(1)
	if err := st.Conf.Unmarshal(n.b[:size]); err != nil {
		return st, err
	}
	n.b = n.b[size:]
	for range n.count(2) {
		st.Runs = append(st.Runs, grouplog.TermRun{Start: st.Base.Index + n.next(), Term: n.next()})
	}
	for range n.count(1) {
		st.Changes = append(st.Changes, st.Base.Index+n.next())
	}
	if st.Last < st.Base.Index || (st.Last-st.Base.Index) > uint64(len(n.b))/2 {
		return st, errMalformed
	}
	if count := st.Last - st.Base.Index; count > 0 {
		st.at = make([]location, 0, count)
	}
	before := uint64(0)
	for range st.Last - st.Base.Index {
		position, size := before+n.next(), n.next()
		if size > maxRecord || position > maxPosition {
			n.bad = true
		}
		st.at = append(st.at, location{position, uint32(size)})
		st.live += int64(size)
		st.moved = st.moved || position < before
		before = position
	}
	st.live += int64(st.snapAt.size)
	if n.bad || len(n.b) > 0 {
		return st, errMalformed
	}
	return st, st.check()
}

// check reports a state that contradicts itself.
func (st *logState) check() error {
	if (st.Snap == 0) != (st.snapAt.size == 0) {
		return errOrder
	}
	if (len(st.Runs) > 0) != (len(st.at) > 0) || (len(st.Runs) > 0 && st.Runs[0].Start != st.Base.Index+1) {
		return errOrder
	}
	for i, run := range st.Runs {
		if run.Start > st.Last || (i > 0 && run.Start <= st.Runs[i-1].Start) {
			return errOrder
		}
	}
	for i, index := range st.Changes {
		if index <= st.Base.Index || index > st.Last || (i > 0 && index <= st.Changes[i-1]) {
			return errOrder
		}
	}
	return nil
}
