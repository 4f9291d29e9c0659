package sim

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	pb "github.com/quorate-raft/raft/raftpb"
)

// mutatedBytes takes the bytes of a message that was sent, and changes some of
// them. What can still be decoded is handed to the node if nobody could mean it:
// others are what a peer might have said.
func (f *forger) mutatedBytes() bool {
	f.real()
	f.m.To, f.asIs = f.n.id, true
	b, err := f.m.Marshal()
	if err != nil || len(b) == 0 {
		return false
	}
	for range 1 + f.below(2) {
		b = f.mutate(b)
	}
	var m pb.Message
	if m.Unmarshal(b) != nil {
		f.s.mark(markUndecodable)
		f.m.To = nobody
		return true
	}
	if f.m = m; !f.absurd() {
		f.m.To = nobody
		return true
	}
	f.s.mark(markMutant)
	return true
}

func (f *forger) mutate(b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	at := f.below(len(b))
	switch f.below(6) {
	case 0:
		return b[:at]
	case 1:
		b[at] ^= 1 << f.below(8)
	case 2:
		b[at] = byte(f.Uint64())
	case 3:
		b = slices.Insert(b, at, f.bytes(1+f.below(4))...)
	case 4:
		// A number of the greatest length in another's place.
		b = slices.Insert(b[:at], at, binary.AppendUvarint(nil, f.huge())...)
	case 5:
		b = append(b, b[at:]...)
	}
	return b
}

// absurd reports whether the victim has to refuse the message by what can be told
// from it, its receiver and the members alone.
func (f *forger) absurd() bool {
	m := &f.m
	forwarded := slices.Contains(forwardTypes, m.Type)
	switch {
	case !forwarded && !slices.Contains(ofPeers, m.Type) && !slices.Contains(noticeTypes, m.Type):
		return true // local, or unknown
	case m.To != 0 && m.To != f.n.id:
		return true
	case m.Term > bound || m.Index > bound || m.Commit > bound || m.RejectHint > bound:
		return true
	case m.Term != 0 && m.LogTerm > m.Term:
		return true
	case forwarded:
		return m.Term != 0 && m.Type != pb.MsgTransferLeader
	case m.From == 0 || m.From == f.n.id || (m.Term == 0) != slices.Contains(noticeTypes, m.Type):
		return true
	case m.Type == pb.MsgRemoved:
		return m.Index == 0 || m.Session == 0
	}
	return slices.Contains(answerTypes, m.Type) && !f.st.Config.Contains(m.From)
}

// hugeCounts claims to hold far more than it does: entries, bytes, a snapshot of
// all the memory there is. Decoding must fail, and not try.
func (f *forger) hugeCounts() bool {
	f.real()
	b, err := f.m.Marshal()
	if err != nil {
		return false
	}
	// Fields of the wire type that counts bytes: entries, snapshot, context, and
	// one that is unknown.
	field := pick[uint64](f.random, 7, 9, 12, 200)
	b = binary.AppendUvarint(b, field<<3|2)
	length := pick(f.random, 1<<20, 1<<31-1, 1<<31, 1<<40, f.huge())
	b = binary.AppendUvarint(b, length)
	b = append(b, f.bytes(f.below(8))...)
	var m pb.Message
	// With 32 bits the generated code takes lengths modulo 2^32, so that others than
	// those below may be as good as short ones.
	if m.Unmarshal(b) == nil && (bits.UintSize == 64 || length>>32 == 0) {
		f.s.fail("S20", f.n.id, fmt.Sprintf("field %d of a message claims more bytes than there are, and it is decoded", field))
	}
	f.m.To = nobody
	return true
}
