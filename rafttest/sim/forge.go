package sim

import (
	"math"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// forgery is a kind of hostile messages. forge makes one, or reports that there is
// none of its kind now.
type forgery struct {
	name  string
	forge func(f *forger) bool
}

const numForgeries = 26

var forgeries = [numForgeries]forgery{
	{"local type", (*forger).localType},
	{"unknown type", (*forger).unknownType},
	{"for another", (*forger).forAnother},
	{"from nobody", (*forger).fromNobody},
	{"without a term", (*forger).withoutTerm},
	{"overflowing term", (*forger).overflowingTerm},
	{"overflowing index", (*forger).overflowingIndex},
	{"log term past the term", (*forger).logTermPastTerm},
	{"answer of a stranger", (*forger).stranger},
	{"in the leader's place", (*forger).inLeadersPlace},
	{"answer to no read", (*forger).noRead},
	{"append against the committed", (*forger).appendAgainstCommitted},
	{"snapshot against the committed", (*forger).snapshotAgainstCommitted},
	{"malformed append", (*forger).malformedAppend},
	{"malformed snapshot", (*forger).malformedSnapshot},
	{"commit past the log", (*forger).commitPastLog},
	{"acknowledgement past the log", (*forger).acknowledgePastLog},
	{"answer to a round to come", (*forger).roundToCome},
	{"vote not asked for", (*forger).unaskedVote},
	{"malformed request", (*forger).malformedRequest},
	{"answer of a session that never was", (*forger).strangeSession},
	{"word of a removal that was not asked for", (*forger).unaskedRemoval},
	{"malformed refusal", (*forger).malformedRefusal},
	{"of a node with another effect", (*forger).otherEffect},
	{"mutated bytes", (*forger).mutatedBytes},
	{"bytes of more than there is", (*forger).hugeCounts},
}

// Bounds of what a node may believe are far below where numbers wrap.
const bound = 1 << 62

func (f *forger) huge() uint64 {
	return pick(f.random, bound+1, 1<<63-1, 1<<63, math.MaxUint64-1, math.MaxUint64, bound+f.Uint64()>>2)
}

// large is beyond what any group gets to, and within bounds.
func (f *forger) large() uint64 { return pick[uint64](f.random, 1<<31, 1<<32, 1<<60, 1<<61) }

var (
	localTypes = []pb.MessageType{
		pb.MsgHup, pb.MsgBeat, pb.MsgUnreachable, pb.MsgSnapStatus, pb.MsgCheckQuorum, pb.MsgForgetLeader,
		pb.MsgStorageAppend, pb.MsgStorageAppendResp, pb.MsgStorageApply, pb.MsgStorageApplyResp,
	}
	answerTypes  = []pb.MessageType{pb.MsgAppResp, pb.MsgVoteResp, pb.MsgPreVoteResp, pb.MsgHeartbeatResp}
	leaderTypes  = []pb.MessageType{pb.MsgApp, pb.MsgHeartbeat, pb.MsgSnap, pb.MsgTimeoutNow, pb.MsgReadIndexResp}
	requestTypes = []pb.MessageType{pb.MsgVote, pb.MsgPreVote}
	noticeTypes  = []pb.MessageType{pb.MsgRemoved, pb.MsgPropRefused}
	forwardTypes = []pb.MessageType{pb.MsgProp, pb.MsgReadIndex, pb.MsgTransferLeader}
	effectTypes  = []pb.MessageType{pb.MsgVote, pb.MsgPreVote, pb.MsgApp, pb.MsgHeartbeat, pb.MsgSnap, pb.MsgHeartbeatResp}
	ofPeers      = append(append(append([]pb.MessageType{}, answerTypes...), leaderTypes...), requestTypes...)
)

func (f *forger) one(types []pb.MessageType) { f.m.Type = types[f.below(len(types))] }

// peer is the ID of another node, a member or not.
func (f *forger) peer() uint64 {
	if id := uint64(1 + f.below(len(f.s.ids))); id != f.n.id {
		return id
	}
	return f.n.id + 1
}

// toCome is the node's term or one that has not come yet.
func (f *forger) toCome() uint64 { return f.st.Term + uint64(f.below(3)) }

// real makes it one that was sent before, or one of a peer's types.
func (f *forger) real() {
	from := &f.s.net.old
	if f.oneIn(2) {
		from = &f.s.net.oldRare
	}
	if p := &from.packets[f.below(len(from.packets))]; p.id != 0 {
		f.m = p.m
		return
	}
	f.one(ofPeers)
	f.m.From, f.m.Term = f.peer(), f.toCome()
}

// ofLeader makes it one of the term's leader, as far as it is known, or of one of
// a term to come.
func (f *forger) ofLeader(t pb.MessageType) {
	f.m.Type, f.m.From, f.m.Term = t, f.peer(), f.st.Term+1
	if lead := f.st.Lead; lead != 0 && lead != f.n.id && f.below(3) > 0 {
		f.m.From, f.m.Term = lead, f.st.Term
	}
}

func (f *forger) localType() bool {
	f.real()
	f.m.To = f.n.id
	f.one(localTypes)
	return true
}

func (f *forger) unknownType() bool {
	f.real()
	f.m.To = f.n.id
	f.m.Type = pick[pb.MessageType](f.random, -1, 24, 99, math.MaxInt32, math.MinInt32)
	return true
}

func (f *forger) forAnother() bool {
	f.real()
	f.m.To = pick(f.random, f.peer(), f.huge())
	return true
}

func (f *forger) fromNobody() bool {
	f.one(ofPeers)
	f.m.From, f.m.Term = pick(f.random, 0, f.n.id), f.toCome()
	return true
}

func (f *forger) withoutTerm() bool {
	f.one(ofPeers)
	f.m.From = f.peer()
	return true
}

func (f *forger) overflowingTerm() bool {
	f.real()
	f.m.To, f.m.Term = f.n.id, f.huge()
	return true
}

func (f *forger) overflowingIndex() bool {
	f.real()
	f.m.To = f.n.id
	switch huge := f.huge(); f.below(3) {
	case 0:
		f.m.Index = huge
	case 1:
		f.m.Commit = huge
	case 2:
		f.m.RejectHint = huge
	}
	return true
}

func (f *forger) logTermPastTerm() bool {
	f.one(ofPeers)
	f.m.From, f.m.Term = f.peer(), f.toCome()
	f.m.LogTerm = max(pick(f.random, f.m.Term+1, f.large(), f.huge()), f.m.Term+1)
	return f.m.Term > 0
}

// stranger is an answer of who is no member: refused before its term is looked at.
func (f *forger) stranger() bool {
	f.one(answerTypes)
	f.m.From = pick(f.random, 1<<40, f.large(), f.huge())
	f.m.Term = pick(f.random, f.toCome()+1, f.large(), bound)
	f.m.Index, f.m.Commit, f.m.Reject = f.st.LastIndex, f.st.Commit, f.oneIn(2)
	return true
}

// inLeadersPlace is what only the leader says, and another one leads the term.
func (f *forger) inLeadersPlace() bool {
	f.one(leaderTypes)
	f.m.From, f.m.Term = f.peer(), f.st.Term
	if f.st.Lead == 0 || f.m.From == f.st.Lead {
		return false
	}
	switch f.m.Type {
	case pb.MsgApp:
		f.m.Index, f.m.Commit = f.st.Commit, f.st.Commit
		f.m.LogTerm, _ = f.s.check.CommittedTerm(f.st.Commit)
	case pb.MsgSnap:
		f.snapshotAt(f.st.Commit+1, f.st.Term)
	case pb.MsgReadIndexResp:
		f.m.Index, f.m.Entries = f.st.Commit, []pb.Entry{{Data: make([]byte, 16)}}
	}
	return true
}

// noRead answers a read that the node, in this life, did not send to its leader.
func (f *forger) noRead() bool {
	if f.st.Lead == 0 || f.st.Lead == f.n.id {
		return false
	}
	f.m.Type, f.m.From, f.m.Term = pb.MsgReadIndexResp, f.st.Lead, f.st.Term
	f.m.Index = f.st.Commit
	f.m.Entries = []pb.Entry{{Data: f.bytes(pick(f.random, 16, 16, 0, 8, 15, 17))}}
	f.quiet = len(f.m.Entries[0].Data) == 16
	return true
}

func (f *forger) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(f.Uint64())
	}
	return b
}

// otherTerm is a term that the committed entry i does not have, between the given
// ones; 0 if there is none, or if its term is not known.
func (f *forger) otherTerm(i, least, most uint64) uint64 {
	term, known := f.s.check.CommittedTerm(i)
	switch {
	case !known:
		return 0
	case term > least && f.oneIn(2):
		return term - 1
	case term < most:
		return term + 1
	case term > least:
		return term - 1
	}
	return 0
}

// appendAgainstCommitted contradicts what is committed at the node: by the entry
// before, or by one that it carries.
func (f *forger) appendAgainstCommitted() bool {
	f.ofLeader(pb.MsgApp)
	at := f.st.Commit
	if at < 2 {
		return false
	}
	f.m.Commit = at
	if f.oneIn(2) {
		f.m.Index, f.m.LogTerm = at, f.otherTerm(at, 1, f.m.Term)
		return f.m.LogTerm != 0
	}
	before, known := f.s.check.CommittedTerm(at - 1)
	wrong := f.otherTerm(at, before, f.m.Term)
	f.m.Index, f.m.LogTerm = at-1, before
	for i := range uint64(1 + f.below(3)) {
		f.m.Entries = append(f.m.Entries, pb.Entry{Index: at + i, Term: wrong})
	}
	return known && before > 0 && wrong != 0
}

func (f *forger) snapshotAt(index, term uint64) {
	f.m.Snapshot = &pb.Snapshot{Metadata: pb.SnapshotMetadata{
		Index: index, Term: term, ConfState: pb.ConfState{Voters: []uint64{1, 2, 3}, Index: min(index, 1)},
	}}
}

func (f *forger) snapshotAgainstCommitted() bool {
	f.ofLeader(pb.MsgSnap)
	wrong := f.otherTerm(f.st.Commit, 1, f.m.Term)
	f.snapshotAt(f.st.Commit, wrong)
	return f.st.Commit > 0 && wrong != 0
}

func (f *forger) malformedAppend() bool {
	f.ofLeader(pb.MsgApp)
	last, term := f.st.LastIndex, f.st.Term
	if last == 0 || term == 0 {
		return false
	}
	m := &f.m
	m.Index, m.LogTerm = last, term
	m.Entries = []pb.Entry{{Index: last + 1, Term: term}, {Index: last + 2, Term: term}}
	e := &m.Entries[f.below(2)]
	switch f.below(7) {
	case 0:
		e.Index += pick(f.random, 1, f.large(), math.MaxUint64)
	case 1:
		e.Term = m.Term + 1 + f.large()
	case 2:
		e.Term = 0
	case 3:
		m.Entries[0].Term, m.Entries[1].Term = m.Term, m.Term-1
	case 4:
		e.Type = pick[pb.EntryType](f.random, -1, 3, math.MaxInt32)
	case 5:
		e.Type, e.Data = pick(f.random, pb.EntryConfChange, pb.EntryConfChangeV2), []byte{0xff, 0xff, 0xff}
	case 6:
		m.Index = bound
		m.Entries[0].Index, m.Entries[1].Index = bound+1, bound+2
	}
	return true
}

func (f *forger) malformedSnapshot() bool {
	f.ofLeader(pb.MsgSnap)
	f.snapshotAt(f.st.LastIndex+uint64(f.below(10)), max(f.st.Term, 1))
	meta := &f.m.Snapshot.Metadata
	switch f.below(7) {
	case 0:
		f.m.Snapshot = nil
	case 1:
		meta.Index, meta.ConfState.Index = 0, 0
	case 2:
		meta.Index = f.huge()
	case 3:
		meta.Term = pick(f.random, 0, f.m.Term+1, f.huge())
	case 4:
		meta.ConfState.Index = pick(f.random, meta.Index+1, f.huge())
	case 5:
		meta.ConfState.Voters = nil
	case 6:
		cs := &meta.ConfState
		switch f.below(3) {
		case 0:
			cs.Learners = []uint64{2} // a voter, too
		case 1:
			cs.Voters = []uint64{0, 1}
		case 2:
			cs.LearnersNext = []uint64{9} // without a joint configuration
		}
	}
	return true
}

func (f *forger) commitPastLog() bool {
	f.ofLeader(pb.MsgHeartbeat)
	f.m.Commit = f.st.LastIndex + pick(f.random, 1, 1+uint64(f.below(100)), f.large())
	f.m.Round = f.Uint64()
	return true
}

func (f *forger) acknowledgePastLog() bool {
	f.m = pb.Message{Type: pb.MsgAppResp, To: f.n.id, From: f.peer(), Term: f.st.Term}
	f.m.Index = f.st.LastIndex + pick(f.random, 1, 1+uint64(f.below(100)), f.large())
	f.quiet = f.st.RaftState != raft.StateLeader
	return f.st.Term > 0
}

func (f *forger) roundToCome() bool {
	f.m = pb.Message{Type: pb.MsgHeartbeatResp, To: f.n.id, From: f.peer(), Term: f.st.Term, LeaseTicks: f.Uint64()}
	f.m.Round = math.MaxUint64>>1 + f.Uint64()>>1
	f.quiet = f.st.RaftState != raft.StateLeader
	return f.st.Term > 0
}

// strangeSession is an answer of a member that echoes what the leader never said.
func (f *forger) strangeSession() bool {
	if f.m.From = f.peer(); f.st.RaftState != raft.StateLeader || !f.st.Config.Contains(f.m.From) {
		return false
	}
	f.m.Type = pick(f.random, pb.MsgAppResp, pb.MsgHeartbeatResp)
	f.m.Term, f.m.Session = f.st.Term, f.large()
	f.m.Index, f.m.Reject = f.st.LastIndex, f.oneIn(2)
	return true
}

// unaskedRemoval answers a request for votes of another life, or of none.
func (f *forger) unaskedRemoval() bool {
	f.m.Type, f.m.From = pb.MsgRemoved, f.peer()
	f.m.Index, f.m.Session = f.st.LastIndex+f.large(), f.large()
	switch f.below(4) {
	case 0:
		f.m.Term = f.toCome()
	case 1:
		f.m.Index = 0
	case 2:
		f.m.Session = 0
	}
	f.quiet = f.m.Term == 0 && f.m.Index != 0 && f.m.Session != 0
	return true
}

// malformedRefusal is of no proposal, in a term, of nobody, or for a reason that no
// number can be.
func (f *forger) malformedRefusal() bool {
	f.m.Type, f.m.From = pb.MsgPropRefused, f.peer()
	f.m.RejectHint = uint64(f.below(40))
	f.m.Entries = []pb.Entry{{Data: f.bytes(f.below(9))}}
	switch f.below(4) {
	case 0:
		f.m.Term = f.toCome() + 1
	case 1:
		f.m.From = pick(f.random, 0, f.n.id)
	case 2:
		f.m.RejectHint = f.huge()
	case 3:
		f.m.Index = f.huge()
	}
	return true
}

// otherEffect is what a node says whose changes of configuration take effect at
// another time, and what might be said otherwise.
func (f *forger) otherEffect() bool {
	f.one(effectTypes)
	f.m.From, f.m.Term = f.peer(), f.toCome()
	f.m.Index, f.m.LogTerm, f.m.Round = f.st.LastIndex, f.st.Term, f.Uint64()
	if f.m.Type == pb.MsgSnap {
		f.snapshotAt(f.st.LastIndex+1, max(f.m.Term, 1))
	}
	f.m.Features = f.ownEffect() ^ pb.FeatureOnAppend
	f.asIs = true
	return f.m.Term > 0
}

// ownEffect is what the group says of when changes of configuration take effect.
func (f *forger) ownEffect() uint64 {
	if f.s.o.ConfChangeEffect == raft.OnAppend {
		return pb.FeatureOnAppend
	}
	return 0
}

// unaskedVote is an answer to a request for votes that the node did not make; a
// refusal names a commit that its log does not have.
func (f *forger) unaskedVote() bool {
	f.m = pb.Message{Type: pb.MsgVoteResp, To: f.n.id, From: f.peer(), Term: f.st.Term}
	granted := f.oneIn(2)
	if f.st.RaftState == raft.StateCandidate || (f.st.RaftState != raft.StatePreCandidate && f.oneIn(2)) {
		f.m.Type = pb.MsgPreVoteResp
		if granted {
			f.m.Term += pick(f.random, 0, 1, 2, f.large()) // a grant carries the term asked for
		}
	}
	if !granted {
		f.m.Reject = true
		f.m.Commit, f.m.LogTerm = f.st.LastIndex+pick(f.random, 1, f.large()), f.m.Term
	}
	f.quiet = true
	return f.m.Term > 0
}

// malformedRequest is what is forwarded to a leader and cannot be meant.
func (f *forger) malformedRequest() bool {
	f.one(forwardTypes)
	m := &f.m
	m.From = f.peer()
	if m.Type == pb.MsgTransferLeader {
		if f.st.RaftState == raft.StateLeader && f.oneIn(2) {
			m.From = pick(f.random, 0, f.n.id, 1<<40, f.huge())
			return true
		}
		m.Term, f.quiet = f.st.Term+1+f.large(), true
		return true
	}
	if f.st.RaftState != raft.StateLeader || f.oneIn(3) {
		if m.Term = 1 + f.toCome(); m.Type == pb.MsgReadIndex && f.oneIn(2) {
			m.Term, m.From = 0, 0
		}
		return true
	}
	switch {
	case m.Type == pb.MsgReadIndex:
		m.Entries = make([]pb.Entry, 2*f.below(2))
	case f.oneIn(3): // a proposal of nothing
	case f.oneIn(2):
		m.Entries = []pb.Entry{{Type: pick[pb.EntryType](f.random, -1, 3, math.MaxInt32)}}
	default:
		m.Entries = []pb.Entry{{Type: pick(f.random, pb.EntryConfChange, pb.EntryConfChangeV2), Data: []byte{0xff, 0xff, 0xff}}}
	}
	return true
}
