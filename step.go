package raft

import (
	"fmt"

	"go.uber.org/zap"

	pb "github.com/quorate-raft/raft/raftpb"
)

// step takes a message of a peer: it is checked, its term is settled, and the
// role's handler for its type is called. Handlers compare no terms.
func (r *raft) step(m *pb.Message) error {
	if r.err != nil {
		return r.err
	}
	err := r.handle(m)
	if err == nil {
		return nil
	}
	if ce := r.logger.Check(zap.DebugLevel, "message refused"); ce != nil {
		ce.Write(zap.Uint64("id", r.id), zap.Uint64("from", m.From), zap.Stringer("type", m.Type), zap.Error(err))
	}
	return r.fail(err)
}

func (r *raft) handle(m *pb.Message) error {
	kind := kindOf(m.Type)
	from, err := r.checkMessage(kind, m)
	if err != nil {
		return err
	}
	r.arrives(m)
	if kind == kindResponse || kind == kindRequest {
		if err := r.learnCommit(m); err != nil {
			return err
		}
	}
	// Most are of the node's term, and there is nothing to settle.
	if m.Term != r.term || kind == kindRequest {
		if admitted, err := r.admit(m); !admitted || err != nil {
			return err
		}
	}
	return r.dispatch(m, from)
}

// admit settles the message's term against the node's (Raft §5.1) and reports
// whether the message is to be handled.
func (r *raft) admit(m *pb.Message) (bool, error) {
	request := m.Type == pb.MsgVote || m.Type == pb.MsgPreVote
	if request {
		if m.Term >= r.term {
			r.conf.advertised(m.From, m.Features)
		}
		r.tellRemoved(m)
		if r.refuseForLeader(m) {
			return false, nil
		}
	}
	switch {
	case m.Term == 0: // forwarded input has no term
	case m.Term > r.term:
		if m.Type == pb.MsgTransferLeader {
			// A request that anybody forwards says nothing about terms.
			return false, nil
		}
		// A pre-vote changes no term, nor does its grant, which carries the
		// term asked for (dissertation §9.6).
		if m.Type == pb.MsgPreVote || (m.Type == pb.MsgPreVoteResp && !m.Reject) {
			break
		}
		lead := None
		if isFromLeader(m.Type) {
			lead = m.From
		}
		r.becomeFollower(m.Term, lead)
	case m.Term < r.term:
		return false, r.answerOldTerm(m)
	}
	if request {
		return false, r.answerVote(m)
	}
	return true, nil
}

// refuseForLeader reports whether a request for a vote is ignored for the sake
// of a leader that this node hears from (dissertation §4.2.3): neither its term
// nor its vote counts. A candidate that the leader itself told to campaign is
// let through.
func (r *raft) refuseForLeader(m *pb.Message) bool {
	if string(m.Context) == transferContext || !r.refusesVotes() {
		return false
	}
	// Within a term the vote itself decides; a promise outlasts the term.
	return m.Term > r.term || (m.Term == r.term && r.promised > 0)
}

// answerOldTerm tells a sender that is behind of the newer term (Raft figure 2,
// 'reply false if term < currentTerm'). A leader that was cut off steps down by
// it, also when this node moved on alone and could not be elected.
func (r *raft) answerOldTerm(m *pb.Message) error {
	switch m.Type {
	case pb.MsgApp, pb.MsgHeartbeat, pb.MsgSnap:
		resp := r.promise(pb.MsgAppResp, m.From)
		resp.Reject = true
		resp.Index = m.Index
	case pb.MsgVote, pb.MsgPreVote:
		_, err := r.voteResp(m)
		return err
	}
	return nil
}

// dispatch calls the handler for the role and the message type. The pairs that
// are not listed mean nothing: answers that come late, and requests that only
// another role can serve. from is the position of a response's sender.
func (r *raft) dispatch(m *pb.Message, from int) error {
	switch r.role {
	case StateLeader:
		switch m.Type {
		case pb.MsgProp:
			return r.leaderProp(m)
		case pb.MsgAppResp:
			return r.leaderAppendResp(m, from)
		case pb.MsgHeartbeatResp:
			return r.leaderHeartbeatResp(m, from)
		case pb.MsgReadIndex:
			return r.leaderReadIndex(m)
		case pb.MsgTransferLeader:
			return r.leaderTransferLeader(m)
		case pb.MsgPropRefused: // of when it was a follower
			r.noteRefused(m)
		}
		return nil
	case StateCandidate:
		if m.Type == pb.MsgVoteResp {
			return r.candidateVoteResp(m)
		}
	case StatePreCandidate:
		if m.Type == pb.MsgPreVoteResp {
			return r.preCandidateVoteResp(m)
		}
	case StateFollower:
		if m.Type == pb.MsgTimeoutNow {
			return r.followerTimeoutNow(m)
		}
	}
	switch m.Type {
	case pb.MsgRemoved:
		r.noticeRemoved(m)
		return nil
	case pb.MsgPropRefused:
		r.noteRefused(m)
		return nil
	case pb.MsgApp:
		return r.followerAppend(m)
	case pb.MsgHeartbeat:
		return r.followerHeartbeat(m)
	case pb.MsgSnap:
		return r.followerSnapshot(m)
	case pb.MsgProp:
		return r.followerProp(m)
	case pb.MsgReadIndex:
		return r.followerReadIndex(m)
	case pb.MsgReadIndexResp:
		return r.followerReadIndexResp(m)
	case pb.MsgTransferLeader:
		return r.followerTransferLeader(m)
	}
	return nil
}

// The kinds of message types.
const (
	kindUnknown   = iota
	kindLocal     // made by a node for itself, never from outside
	kindForwarded // input on its way to the leader; has no term
	kindRequest
	kindLead // what only the term's leader sends, and means that it leads on
	kindWord // what only the term's leader sends, and means nothing of the kind
	kindResponse
	kindNotice // tells something without a term, and moves nothing
)

var kinds = [...]uint8{
	pb.MsgHup: kindLocal, pb.MsgBeat: kindLocal, pb.MsgUnreachable: kindLocal,
	pb.MsgSnapStatus: kindLocal, pb.MsgCheckQuorum: kindLocal, pb.MsgForgetLeader: kindLocal,
	pb.MsgStorageAppend: kindLocal, pb.MsgStorageAppendResp: kindLocal,
	pb.MsgStorageApply: kindLocal, pb.MsgStorageApplyResp: kindLocal,
	pb.MsgProp: kindForwarded, pb.MsgReadIndex: kindForwarded, pb.MsgTransferLeader: kindForwarded,
	pb.MsgVote: kindRequest, pb.MsgPreVote: kindRequest,
	pb.MsgApp: kindLead, pb.MsgHeartbeat: kindLead, pb.MsgSnap: kindLead,
	pb.MsgTimeoutNow: kindWord, pb.MsgReadIndexResp: kindWord,
	pb.MsgAppResp: kindResponse, pb.MsgVoteResp: kindResponse, pb.MsgPreVoteResp: kindResponse, pb.MsgHeartbeatResp: kindResponse,
	pb.MsgRemoved: kindNotice, pb.MsgPropRefused: kindNotice,
}

func kindOf(t pb.MessageType) uint8 {
	if t < 0 || int(t) >= len(kinds) {
		return kindUnknown
	}
	return kinds[t]
}

func isFromLeader(t pb.MessageType) bool { return kindOf(t) == kindLead }

// IsLocalMsg reports whether messages of type t are only made by a node for
// itself: Step refuses them with ErrStepLocalMsg.
func IsLocalMsg(t pb.MessageType) bool { return kindOf(t) == kindLocal }

// IsResponseMsg reports whether messages of type t answer another message.
func IsResponseMsg(t pb.MessageType) bool {
	return kindOf(t) == kindResponse || t == pb.MsgReadIndexResp
}

func misrouted(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMisrouted, fmt.Sprintf(format, args...))
}
