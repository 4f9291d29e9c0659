package wal

import "encoding/binary"

// maxUvarint is the most bytes that a number takes in a state.
const maxUvarint = binary.MaxVarintLen64

// body encodes all that is known of a group: numbers as varints, those that follow
// each other as differences.
func (st *logState) body() ([]byte, error) {
	conf, err := st.conf.Marshal()
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, maxUvarint*(13+2*len(st.runs)+len(st.changes))+len(conf)+6*len(st.at))
	put := func(numbers ...uint64) {
		for _, n := range numbers {
			b = binary.AppendUvarint(b, n)
		}
	}
	put(st.base.index, st.base.term, st.last, st.hard.Term, st.hard.Vote, st.hard.Commit)
	put(st.snap, st.snapAt.position, uint64(st.snapAt.size), st.confAt, uint64(len(conf)))
	b = append(b, conf...)
	put(uint64(len(st.runs)))
	for _, run := range st.runs {
		put(run.start-st.base.index, run.term)
	}
	put(uint64(len(st.changes)))
	for _, index := range st.changes {
		put(index - st.base.index)
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
	st.base = entryID{n.next(), n.next()}
	st.last = n.next()
	st.hard.Term, st.hard.Vote, st.hard.Commit = n.next(), n.next(), n.next()
	st.snap, st.snapAt, st.confAt = n.next(), n.location(), n.next()
	size := n.count(1)
	if err := st.conf.Unmarshal(n.b[:size]); err != nil {
		return st, err
	}
	n.b = n.b[size:]
	for range n.count(2) {
		st.runs = append(st.runs, termRun{st.base.index + n.next(), n.next()})
	}
	for range n.count(1) {
		st.changes = append(st.changes, st.base.index+n.next())
	}
	if st.last < st.base.index || (st.last-st.base.index) > uint64(len(n.b))/2 {
		return st, errMalformed
	}
	if count := st.last - st.base.index; count > 0 {
		st.at = make([]location, 0, count)
	}
	before := uint64(0)
	for range st.last - st.base.index {
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
	if (st.snap == 0) != (st.snapAt.size == 0) {
		return errOrder
	}
	if (len(st.runs) > 0) != (len(st.at) > 0) || (len(st.runs) > 0 && st.runs[0].start != st.base.index+1) {
		return errOrder
	}
	for i, run := range st.runs {
		if run.start > st.last || (i > 0 && run.start <= st.runs[i-1].start) {
			return errOrder
		}
	}
	for i, index := range st.changes {
		if index <= st.base.index || index > st.last || (i > 0 && index <= st.changes[i-1]) {
			return errOrder
		}
	}
	return nil
}
