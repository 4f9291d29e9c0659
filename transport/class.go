package transport

import (
	"fmt"

	"github.com/quorate-raft/raft/raftpb"
)

// Class is what a message is counted as. Each class has a bound of its own, so
// that many of one do not push out the others.
type Class uint8

// The classes; the first two go in LaneControl, the others in LaneLog.
const (
	// ClassControl is heartbeats, votes, pre-votes, their answers, MsgRemoved among them,
	// and TimeoutNow.
	ClassControl Class = iota
	// ClassRead is forwarded reads, their answers, and forwarded hand-overs.
	ClassRead
	// ClassAppend is appends, and whatever has no other class.
	ClassAppend
	// ClassAnswer is answers to appends.
	ClassAnswer
	// ClassProposal is forwarded proposals, and the word that one was refused.
	ClassProposal

	classes
)

// String returns the class's name.
func (c Class) String() string {
	switch c {
	case ClassControl:
		return "control"
	case ClassRead:
		return "read"
	case ClassAppend:
		return "append"
	case ClassAnswer:
		return "answer"
	case ClassProposal:
		return "proposal"
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// maxControl is the largest message that may go before others.
const maxControl = 64 << 10

// classify returns the class and the lane of a message. One that is large goes in
// the log lane whatever it is.
func classify(m *raftpb.Message, size int) (Class, Lane) {
	class := ClassAppend
	switch m.Type {
	case raftpb.MsgHeartbeat, raftpb.MsgHeartbeatResp, raftpb.MsgTimeoutNow,
		raftpb.MsgVote, raftpb.MsgVoteResp, raftpb.MsgPreVote, raftpb.MsgPreVoteResp, raftpb.MsgRemoved:
		class = ClassControl
	case raftpb.MsgReadIndex, raftpb.MsgReadIndexResp, raftpb.MsgTransferLeader:
		class = ClassRead
	case raftpb.MsgAppResp:
		class = ClassAnswer
	case raftpb.MsgProp, raftpb.MsgPropRefused:
		class = ClassProposal
	}
	if class <= ClassRead && size <= maxControl {
		return class, LaneControl
	}
	return class, LaneLog
}

// mayForward reports whether a message of the type may come from a node that did
// not make it: followers pass these on as they are.
func mayForward(kind raftpb.MessageType) bool {
	return kind == raftpb.MsgProp || kind == raftpb.MsgReadIndex || kind == raftpb.MsgTransferLeader
}
