package replica

import (
	"encoding/binary"

	pb "github.com/quorate-raft/raft/raftpb"
)

// proposalID names a proposal: which life of which replica made it, and its number
// there.
type proposalID struct{ origin, seq uint64 }

// headerSize is that of the header before each command.
const headerSize = 20

// headerMagic begins the header; its last byte is the header's version.
var headerMagic = [4]byte{0x9e, 'q', 'r', 1}

func encodeCommand(id proposalID, data []byte) []byte {
	b := make([]byte, headerSize+len(data))
	putHeader(b, id)
	copy(b[headerSize:], data)
	return b
}

func putHeader(b []byte, id proposalID) {
	copy(b, headerMagic[:])
	binary.LittleEndian.PutUint64(b[4:], id.origin)
	binary.LittleEndian.PutUint64(b[12:], id.seq)
}

// decodeHeader returns the id in the header, and what follows it. Bytes without a
// header, which another host proposed, have no id and are all there is.
func decodeHeader(b []byte) (id proposalID, data []byte) {
	if len(b) < headerSize || [4]byte(b[:4]) != headerMagic {
		return proposalID{}, b
	}
	return proposalID{binary.LittleEndian.Uint64(b[4:]), binary.LittleEndian.Uint64(b[12:])}, b[headerSize:]
}

// idOf returns the id of the proposal that an entry came from, and a normal entry's
// command.
func idOf(e *pb.Entry) (id proposalID, data []byte) {
	switch e.Type {
	case pb.EntryNormal:
		return decodeHeader(e.Data)
	case pb.EntryConfChangeV2:
		var cc pb.ConfChangeV2
		if cc.Unmarshal(e.Data) == nil {
			id, _ = decodeHeader(cc.Context)
		}
	}
	return id, nil
}
