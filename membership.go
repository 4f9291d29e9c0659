package raft

import (
	"slices"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft/confchange"
	"github.com/quorate-raft/raft/progress"
	"github.com/quorate-raft/raft/quorum"
	pb "github.com/quorate-raft/raft/raftpb"
)

// membership owns the active configuration: the one that elections, commits,
// reads and the validation of changes go by.
type membership struct {
	cfg confchange.Config
	// index is that of the entry that made cfg, 0 if unknown. With OnAppend it
	// may be uncommitted.
	index uint64
	// applied is the index of the last entry that the host called
	// ApplyConfChange for. cfg may be ahead of it.
	applied uint64
	// ids are all members, ascending; roles[i] says what ids[i] is. Per-peer
	// state of the leader and of candidates lies in arrays beside them.
	ids   []uint64
	roles []memberRole
	// features[i] is what ids[i] last said of itself (raftpb.Message.Features). It
	// outlasts terms, and goes with the member.
	features []uint64
	// uses counts how often the active configuration changed.
	uses uint64
	// history holds the configurations since the log's start, oldest first:
	// a snapshot carries the one of its own index, and with OnAppend truncation
	// goes back to an earlier one.
	history []confAt
	// beforeSnapshot is what was active before the received snapshot that is
	// not durable yet.
	beforeSnapshot *confAt
}

// confAt is a configuration and the first index that it is known to hold at.
type confAt struct {
	from  uint64
	index uint64
	cfg   confchange.Config
}

type memberRole uint8

const (
	roleIncoming memberRole = 1 << iota // votes in the (incoming) majority
	roleOutgoing                        // votes in the outgoing majority of a joint configuration
	roleLearner
	roleVoter = roleIncoming | roleOutgoing
)

// set makes cfg, of the entry at index (0 if unknown), active from log index
// from on.
func (m *membership) set(cfg confchange.Config, index, from uint64) {
	m.history = append(m.history, confAt{from: from, index: index, cfg: cfg})
	m.use(cfg, index)
}

// use makes cfg, of the entry at index, active.
func (m *membership) use(cfg confchange.Config, index uint64) {
	m.cfg, m.index = cfg, index
	m.uses++
	oldIDs, oldFeatures := m.ids, m.features
	m.ids = cfg.IDs()
	m.roles = make([]memberRole, len(m.ids))
	m.features = make([]uint64, len(m.ids))
	for i, id := range m.ids {
		if j, ok := slices.BinarySearch(oldIDs, id); ok {
			m.features[i] = oldFeatures[j]
		}
		if cfg.Voters[0].Contains(id) {
			m.roles[i] |= roleIncoming
		}
		if cfg.Voters[1].Contains(id) {
			m.roles[i] |= roleOutgoing
		}
		if cfg.IsLearner(id) {
			m.roles[i] |= roleLearner
		}
	}
}

// forget drops the configurations that no snapshot at or after first can need.
func (m *membership) forget(first uint64) {
	n := 0
	for n+1 < len(m.history) && m.history[n+1].from <= first {
		n++
	}
	m.history = slices.Delete(m.history, 0, n)
}

// truncate drops the configurations of entries past last, and makes the newest that
// is left active. It reports whether there were any.
func (m *membership) truncate(last uint64) bool {
	n := len(m.history)
	for n > 1 && m.history[n-1].from > last {
		n--
	}
	if n == len(m.history) {
		return false
	}
	m.history = slices.Delete(m.history, n, len(m.history))
	m.use(m.history[n-1].cfg, m.history[n-1].index)
	return true
}

// at returns the configuration at log index i.
func (m *membership) at(i uint64) (confAt, bool) {
	for n := len(m.history) - 1; n >= 0; n-- {
		if m.history[n].from <= i {
			return m.history[n], true
		}
	}
	return confAt{}, false
}

// atOrOldest is at, and where that is not known the oldest that is: what a host saved
// is committed, also where the commit index on its disk is behind it.
func (m *membership) atOrOldest(i uint64) confAt {
	if at, ok := m.at(i); ok {
		return at
	}
	return m.history[0]
}

// pos returns where id is in ids, or -1.
func (m *membership) pos(id uint64) int {
	if len(m.ids) <= 16 {
		for i := range m.ids {
			if m.ids[i] == id {
				return i
			}
		}
		return -1
	}
	if i, ok := slices.BinarySearch(m.ids, id); ok {
		return i
	}
	return -1
}

func (m *membership) isVoter(id uint64) bool {
	i := m.pos(id)
	return i >= 0 && m.roles[i]&roleVoter != 0
}

// soleVoter reports whether id decides everything alone.
func (m *membership) soleVoter(id uint64) bool {
	voters := 0
	for _, role := range m.roles {
		if role&roleVoter != 0 {
			voters++
		}
	}
	return voters == 1 && m.isVoter(id)
}

// tally returns the result of a ballot in which votes[i] is the vote of ids[i].
// Both halves of a joint configuration must agree (dissertation §4.3).
func (m *membership) tally(votes []ballot) quorum.VoteResult {
	return m.tallyHalf(roleIncoming, votes).And(m.tallyHalf(roleOutgoing, votes))
}

func (m *membership) tallyHalf(half memberRole, votes []ballot) quorum.VoteResult {
	var count [ballotRejected + 1]int // votes come in no order that a branch predictor could learn
	for i, role := range m.roles {
		if role&half != 0 {
			count[votes[i]]++
		}
	}
	return quorum.Tally(count[ballotNone]+count[ballotGranted]+count[ballotRejected], count[ballotGranted], count[ballotRejected])
}

// held is what a majority may hold of each voter.
type held uint8

const (
	heldMatch  held = iota // Progress.Match
	heldRound              // Progress.AckedRound
	heldActive             // 1 if Progress.Active
)

// held returns the highest value of the given sort that a majority of each half
// holds; learners never count. scratch has room for all peers, unless they are few.
func (m *membership) held(peers []progress.Progress, scratch []uint64, what held) uint64 {
	in := m.heldByHalf(roleIncoming, peers, scratch, what)
	if !m.cfg.Joint() {
		return in
	}
	return min(in, m.heldByHalf(roleOutgoing, peers, scratch, what))
}

// fewPeers is how many fit onto the stack.
const fewPeers = 9

func (m *membership) heldByHalf(half memberRole, peers []progress.Progress, scratch []uint64, what held) uint64 {
	var few [fewPeers]uint64 // as mostly: no leader needs to keep room for them
	if scratch = scratch[:0]; len(m.roles) <= fewPeers {
		scratch = few[:0]
	}
	for i, role := range m.roles {
		if role&half == 0 {
			continue
		}
		p, value := &peers[i], uint64(0)
		switch {
		case what == heldMatch:
			value = p.Match
		case what == heldRound:
			value = p.AckedRound
		case p.Active:
			value = 1
		}
		scratch = append(scratch, value)
	}
	return quorum.CommittedIndex(scratch)
}

// checkConfProposal says why the changes of configuration among ents, if any,
// cannot be proposed now, judged against the newest configuration in the log.
func (r *raft) checkConfProposal(ents []pb.Entry) error {
	found := false
	for i := range ents {
		if !isConfEntry(ents[i].Type) {
			continue
		}
		if found {
			return &ConfChangeError{Reason: ErrConfChangeMultiple}
		}
		found = true
		cc, err := pb.UnmarshalConfChange(ents[i])
		if err != nil {
			return &ConfChangeError{Reason: err}
		}
		v2 := cc.AsV2()
		if leadersOwn(v2.Membership) {
			return &ConfChangeError{Reason: confchange.ErrLeadersOwn}
		}
		if err := r.checkConfChange(v2); err != nil {
			return err
		}
	}
	return nil
}

// leadersOwn reports whether a change of a target is for the leader alone to propose,
// which knows whether it can be made: who is to vote has the log, or the target is
// out of reach.
func leadersOwn(m *pb.MembershipChange) bool {
	return m != nil && (m.Version != 0 || m.Outcome != nil && m.Outcome.Reason != pb.MembershipCancelled)
}

func (r *raft) checkConfChange(cc pb.ConfChangeV2) error {
	// Dissertation §4.1: one change at a time.
	if index, ok := r.pendingConf(); ok {
		return &ConfChangeError{Index: index, Reason: ErrConfChangePending}
	}
	if !r.leader.committedInTerm(r.log) {
		return &ConfChangeError{Reason: ErrConfChangeTooEarly}
	}
	if err := confchange.CheckExpected(cc, r.conf.index); err != nil {
		return &ConfChangeError{Reason: err}
	}
	if err := confchange.Validate(r.conf.cfg, cc); err != nil {
		return &ConfChangeError{Reason: err}
	}
	if m := cc.Membership; m != nil && m.Target != nil {
		if err := r.checkTarget(m.Target); err != nil {
			return &ConfChangeError{Reason: err}
		}
	}
	return nil
}

// onAppend reports whether changes of membership take effect when they are appended.
func (r *raft) onAppend() bool { return r.cfg.ConfChangeEffect == OnAppend }

// pendingConf returns the index of the change that has to end before another may
// begin: the first that is not applied, or with OnAppend not committed.
func (r *raft) pendingConf() (uint64, bool) {
	after := r.log.applied
	if r.onAppend() {
		after = r.log.committed
	}
	for _, i := range r.log.confs {
		if i > after {
			return i, true
		}
	}
	return 0, false
}

// unappliedChange returns the index of a committed change that this node has not
// applied, under which others may elect already while it would by quorums of the
// past. With OnAppend there is none.
func (r *raft) unappliedChange() (uint64, bool) {
	if r.onAppend() {
		return 0, false
	}
	return r.log.unappliedConf(r.log.committed)
}

// mayLead reports whether this node may campaign: it is a voter of its active
// configuration, or with OnAppend of the newest that it knows to be committed. The
// only holder of an uncommitted change that removes it must be able to lead, else
// nobody could (dissertation §4.2.2).
func (r *raft) mayLead() bool {
	if r.conf.isVoter(r.id) {
		return true
	}
	if !r.onAppend() || r.conf.index <= r.log.committed {
		return false
	}
	return r.conf.atOrOldest(r.log.committed).cfg.IsVoter(r.id)
}

// appendLog adds entries that continue the log, which may keep the array, and with OnAppend makes the changes
// of membership in them effective.
func (r *raft) appendLog(ents []pb.Entry) error {
	before := len(r.log.confs)
	r.log.append(ents)
	if len(r.log.confs) == before || !r.onAppend() {
		return nil
	}
	cfg, index := r.conf.cfg, uint64(0)
	for i := range ents {
		if !isConfEntry(ents[i].Type) {
			continue
		}
		if index != 0 {
			r.conf.set(cfg, index, index) // several at once: only the last one matters to the role
		}
		cc, err := pb.UnmarshalConfChange(ents[i])
		if err != nil {
			return corrupt("entry %d: %v", ents[i].Index, err) // it was checked before
		}
		cfg, index = r.changed(cfg, cc.AsV2(), ents[i].Index), ents[i].Index
	}
	return r.switchConf(cfg, index)
}

// changed returns cfg after the change in the entry at index. One that is
// impossible changes nothing: every node finds the same, so all skip it alike. Its
// entry is in the history as every other's, whose index then says up to where changes
// are in effect; it goes with the log that is compacted.
func (r *raft) changed(cfg confchange.Config, cc pb.ConfChangeV2, index uint64) confchange.Config {
	next, err := confchange.ApplyAt(cfg, cc, index)
	if err != nil {
		r.logger.Error("change of configuration in the log is impossible; skipped",
			zap.Uint64("id", r.id), zap.Uint64("index", index), zap.Error(err))
		return cfg
	}
	return next
}

// truncateLog removes the entries after before, and with OnAppend goes back to the
// newest configuration that is left, however many are gone.
func (r *raft) truncateLog(before entryID) {
	r.log.truncate(before)
	if r.onAppend() && r.conf.truncate(before.index) {
		if ce := r.logger.Check(zap.InfoLevel, "configuration in effect again"); ce != nil {
			ce.Write(zap.Uint64("id", r.id), zap.Uint64("index", r.conf.index), zap.Stringer("config", r.conf.cfg))
		}
	}
}

// confCommitted does, with OnAppend, what waits for the commit of the newest change
// at the leader.
func (r *raft) confCommitted() error {
	if !r.conf.isVoter(r.id) && !r.cfg.StayAfterRemoval {
		r.startLeaving()
	}
	if err := r.maybeLeaveJoint(); err != nil {
		return err
	}
	return r.driveTarget(false)
}

// applyConfChange makes the change that the host is applying effective.
func (r *raft) applyConfChange(cc pb.ConfChangeV2) error {
	index := r.confBeingApplied()
	if index == 0 {
		r.logger.Warn("no configuration entry is being applied; the configuration stays", zap.Uint64("id", r.id))
		return nil
	}
	r.conf.applied = index
	if r.onAppend() || index <= r.conf.index {
		return nil // in effect already, also since Bootstrap, or persisted ahead of Applied
	}
	return r.switchConf(r.changed(r.conf.cfg, cc, index), index)
}

// confBeingApplied returns the index of the first configuration entry that was
// handed out to be applied and that the host has not come to yet, or 0.
func (r *raft) confBeingApplied() uint64 {
	for _, i := range r.log.confs {
		if i > r.conf.applied && i <= r.log.applying {
			return i
		}
	}
	return 0
}

// switchConf is the one place where the active configuration changes.
func (r *raft) switchConf(next confchange.Config, index uint64) error {
	oldIDs := r.conf.ids
	first, err := r.log.firstIndex()
	if err != nil {
		return err
	}
	r.conf.forget(first - 1)
	r.conf.set(next, index, index)
	if ce := r.logger.Check(zap.InfoLevel, "configuration in effect"); ce != nil {
		ce.Write(zap.Uint64("id", r.id), zap.Uint64("index", index), zap.Stringer("config", next))
	}
	switch r.role {
	case StateLeader:
		return r.leaderConfChanged(oldIDs)
	case StateCandidate, StatePreCandidate:
		// The ballot was held under another configuration.
		r.becomeFollower(r.term, None)
	}
	return nil
}

// leaderConfChanged carries over what the leader knows of each peer and does
// what the new configuration makes possible.
func (r *raft) leaderConfChanged(oldIDs []uint64) error {
	l := r.leader
	old := l.peers
	l.peers = make([]progress.Progress, len(r.conf.ids))
	l.scratch = r.scratch(l.scratch)
	for i, id := range r.conf.ids {
		if j, ok := slices.BinarySearch(oldIDs, id); ok {
			l.peers[i] = old[j]
			continue
		}
		l.peers[i] = r.newPeer(l)
		// It had no chance to be heard yet.
		l.peers[i].Active = true
	}
	l.self = r.conf.pos(r.id)
	r.updateSelf()
	l.sendDue = true
	l.work()
	if l.transfer.target != None && !r.conf.isVoter(l.transfer.target) {
		r.abortTransfer("the target was removed")
	}
	switch {
	case r.conf.isVoter(r.id):
		l.leaving = nil // a change that was in the log already brought it back
	case !r.cfg.StayAfterRemoval && r.conf.index <= r.log.committed:
		r.startLeaving()
	}
	if len(r.conf.cfg.Voters[0]) == 0 {
		return nil
	}
	r.releaseReads()
	return r.maybeCommit()
}

// maybeLeaveJoint proposes to leave an automatic joint configuration once it is
// applied.
func (r *raft) maybeLeaveJoint() error {
	if r.role != StateLeader || !r.conf.cfg.Joint() || !r.conf.cfg.AutoLeave {
		return nil
	}
	// Only in a term of one's own that has committed, and only if no leader
	// before began it (dissertation §4.3): a pending entry is the leave itself,
	// or comes before it.
	if _, pending := r.pendingConf(); pending || !r.leader.committedInTerm(r.log) {
		return nil
	}
	if ce := r.logger.Check(zap.InfoLevel, "leaving the joint configuration"); ce != nil {
		ce.Write(zap.Uint64("id", r.id), zap.Uint64("term", r.term))
	}
	return r.appendOne(pb.Entry{Type: pb.EntryConfChangeV2})
}
