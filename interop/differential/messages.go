package differential

import (
	"bytes"
	"errors"
	"slices"

	tpb "go.etcd.io/raft/v3/raftpb"

	ours "github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	"github.com/quorate-raft/raft/interop/etcdraft"
	"github.com/quorate-raft/raft/progress"
	opb "github.com/quorate-raft/raft/raftpb"
)

// trim gives theirs an append from the commit index on.
func (w *world) trim(m *twin, it *item) {
	c := &w.cur
	commit := c.before.Commit
	if it.o.Index >= commit || it.o.Term < c.before.Term || it.o.Index+uint64(len(it.o.Entries)) <= commit ||
		(it.o.Term == c.before.Term && c.before.RaftState == ours.StateLeader) {
		return
	}
	skip := commit - it.o.Index
	it.t.LogTerm, it.t.Index = it.t.Entries[skip-1].Term, commit
	it.t.Entries = it.t.Entries[skip:]
	w.apply(appendBeyondCommit)
}

// feedProposal gives both halves a proposal. What ours refuses of changes of
// configuration is judged here.
func (w *world) feedProposal(m *twin, it *item) {
	c := &w.cur
	t := it.t
	t.Entries = slices.Clone(t.Entries) // etcd numbers the entries where they are
	change := len(it.o.Entries) == 1 && it.o.Entries[0].Type != opb.EntryNormal
	c.oErr = m.o.Step(it.o)
	if change && c.before.RaftState == ours.StateLeader {
		if !w.judgeChange(m, it) {
			return
		}
	}
	c.tErr = caught(func() error { return m.t.Step(t) })
}

// judgeChange compares what ours said to a change with what the driver makes of
// it, and reports whether theirs is to be asked.
func (w *world) judgeChange(m *twin, it *item) bool {
	c := &w.cur
	var refused *ours.ConfChangeError
	if errors.Is(c.oErr, ours.ErrUncommittedFull) && m.theirsWouldRefuse(it) {
		// The empty entry that theirs appends instead has no bytes to count.
		w.apply(changeRefused)
		c.hasRefusal = true
		return false
	}
	if c.oErr != nil && !errors.As(c.oErr, &refused) {
		return true
	}
	cc, err := opb.UnmarshalConfChange(it.o.Entries[0])
	if err != nil {
		c.tErr = err
		return false
	}
	v2 := cc.AsV2()
	cfg, _ := confchange.Restore(*m.oConf)
	var want error
	switch {
	case w.unappliedChange(m):
		want = ours.ErrConfChangePending
	case w.termOf(m, c.before.Commit) != c.before.Term:
		want = ours.ErrConfChangeTooEarly
	default:
		want = confchange.Validate(cfg, v2)
	}
	if refused != nil {
		c.hasRefusal = want != nil
		if c.hasRefusal {
			w.apply(changeRefused)
		}
		return want == nil // then theirs takes it, and the difference shows
	}
	if want != nil {
		c.tErr = want // ours took what it had to refuse
		return false
	}
	if *m.tp.pendingConf() > m.t.BasicStatus().Applied {
		w.apply(pendingExact)
		*m.tp.pendingConf() = 0
	}
	return true
}

// theirsWouldRefuse reports whether theirs would append an empty entry instead.
func (m *twin) theirsWouldRefuse(it *item) bool {
	cc, err := opb.UnmarshalConfChange(it.o.Entries[0])
	if err != nil {
		return false
	}
	leave, joint := len(cc.AsV2().Changes) == 0, len(m.tConf.VotersOutgoing) > 0
	return *m.tp.pendingConf() > m.t.BasicStatus().Applied || joint != leave
}

func (w *world) termOf(m *twin, index uint64) uint64 {
	return m.term(index)
}

// unappliedChange looks for a change of configuration past applied.
func (w *world) unappliedChange(m *twin) bool { return m.changeIn(m.applied, m.tLast) }

// same reports whether both messages say the same. Contexts of heartbeats and
// the data of reads are each implementation's own.
func (w *world) same(o *opb.Message, t *tpb.Message) bool {
	if int32(o.Type) != int32(t.Type) || o.To != t.To || o.From != t.From || len(o.Entries) != len(t.Entries) || (o.Snapshot == nil) != (t.Snapshot == nil) {
		return false
	}
	switch o.Type {
	case opb.MsgVoteResp, opb.MsgPreVoteResp:
		return o.Term == t.Term && o.Reject == t.Reject
	case opb.MsgVote, opb.MsgPreVote:
		return o.Term == t.Term && o.LogTerm == t.LogTerm && o.Index == t.Index && bytes.Equal(o.Context, t.Context)
	case opb.MsgHeartbeat, opb.MsgHeartbeatResp:
		return o.Term == t.Term && o.Commit == t.Commit
	case opb.MsgReadIndex:
		return o.Term == t.Term
	case opb.MsgReadIndexResp:
		return o.Term == t.Term && o.Index == t.Index && w.tokens[string(o.Entries[0].Data)] == string(t.Entries[0].Data)
	case opb.MsgTransferLeader:
		return o.Term == 0
	case opb.MsgAppResp:
		if in := w.cur.in; in != nil && in.o.Term < w.cur.before.Term && o.Term == t.Term {
			return true // stale
		}
	}
	if o.Term != t.Term || o.LogTerm != t.LogTerm || o.Index != t.Index || o.Commit != t.Commit || o.Reject != t.Reject ||
		o.RejectHint != t.RejectHint || !bytes.Equal(o.Context, t.Context) {
		return false
	}
	if o.Snapshot != nil {
		a, b := &o.Snapshot.Metadata, &t.Snapshot.Metadata
		if a.Index != b.Index || a.Term != b.Term || a.ConfState.Equivalent(withMembers(etcdraft.ToConf(&b.ConfState), a.ConfState.Members)) != nil {
			return false
		}
	}
	return entriesDiffer(o.Entries, t.Entries) == ""
}

func withMembers(cs opb.ConfState, members []opb.Member) opb.ConfState {
	cs.Members = members
	return cs
}

// pairs finds for each message of ours one of theirs that says the same: its
// place, or -1. taken tells which of theirs have one.
func (w *world) pairs(os []opb.Message, ts []tpb.Message) (pair []int, taken []bool) {
	pair, taken = make([]int, len(os)), make([]bool, len(ts))
	for i := range os {
		pair[i] = -1
		for j := range ts {
			if !taken[j] && w.same(&os[i], &ts[j]) {
				pair[i], taken[j] = j, true
				break
			}
		}
	}
	return pair, taken
}

func (w *world) compareMessages() error {
	m := w.cur.m
	os, ts := m.out.messages, m.tout.messages
	if err := w.checkRemovedTold(); err != nil {
		return err
	}
	if err := w.checkRefusalTold(); err != nil {
		return err
	}
	pair, taken := w.pairs(os, ts)
	for i := range os {
		var t *tpb.Message
		if pair[i] >= 0 {
			t = &ts[pair[i]]
		}
		if err := w.explainOurs(&os[i], t); err != nil {
			return err
		}
	}
	for j := range ts {
		if !taken[j] {
			if err := w.explainTheirs(&ts[j], os); err != nil {
				return err
			}
		}
	}
	if err := w.compareHeld(); err != nil {
		return err
	}
	if err := w.comparePeers(); err != nil {
		return err
	}
	w.routeAll(pair)
	return nil
}

// explainOurs judges a message of ours; its twin is a message of theirs, or nil.
func (w *world) explainOurs(o *opb.Message, twin *tpb.Message) error {
	c, m := &w.cur, w.cur.m
	status := m.o.BasicStatus()
	if w.settings.lease {
		if err := w.notePromises(o); err != nil {
			return err
		}
	}
	if err := w.checkFeatures(o); err != nil {
		return err
	}
	switch o.Type {
	case opb.MsgApp:
		if err := w.checkAppend(o); err != nil {
			return err
		}
	case opb.MsgVoteResp, opb.MsgPreVoteResp, opb.MsgVote, opb.MsgPreVote:
		if index, term := namedCommit(o); index != 0 {
			if index > status.Commit || w.termOf(m, index) != term {
				return w.fail("ours names commit %d of term %d", index, term)
			}
			w.apply(voteNamesCommit)
		} else if m.term(status.Commit) != 0 {
			return w.fail("ours does not name its commit in %s", describe(o))
		}
	}
	stale := c.in != nil && c.in.o.Term != 0 && c.in.o.Term < c.before.Term
	if twin != nil {
		switch {
		case w.settings.lease && o.Type == opb.MsgReadIndexResp && !m.mayAnswer(w.tokens[string(o.Entries[0].Data)]):
			return w.fail("ours answers without a lease: %s", describe(o))
		case o.Type == opb.MsgTransferLeader && twin.Term != 0:
			w.apply(transferNoTerm)
		case o.Type == opb.MsgAppResp && stale:
			if !o.Reject {
				return w.fail("ours acknowledges an append of an earlier term")
			}
			w.apply(staleAnswered)
		}
		return nil
	}
	switch {
	case stale && o.To == c.in.o.From && o.Term == status.Term && o.Reject && (o.Type == opb.MsgAppResp || o.Type == opb.MsgVoteResp):
		w.apply(staleAnswered)
		return nil
	case o.Type == opb.MsgApp:
		return w.explainOurAppend(o)
	case o.Type == opb.MsgRemoved || o.Type == opb.MsgPropRefused:
		return nil // checkRemovedTold or checkRefusalTold has judged it
	case o.Type == opb.MsgHeartbeat && w.settings.lease && status.RaftState == ours.StateLeader && (c.readsWait || m.o.Status().PendingReads > 0):
		w.apply(leaseByPromise) // theirs asks nobody
		return nil
	case o.Type == opb.MsgSnap && c.in != nil && c.in.o.Type == opb.MsgAppResp && c.in.o.From == o.To && c.matches[o.To].pending != 0 &&
		c.in.o.Index >= c.matches[o.To].pending:
		return nil // comparePeer judges it
	case o.Type == opb.MsgSnap && w.snapshotExpired(o.To):
		return nil // comparePeer judges it
	case o.Type == opb.MsgSnap && w.unreachable(o.To):
		w.apply(unreachableProbed)
		m.alignPeer(m.peer(o.To), m.tp.trk().Progress[o.To])
		return nil
	case o.Type == opb.MsgReadIndexResp:
		ctx := w.tokens[string(o.Entries[0].Data)]
		if m.mayAnswer(ctx) && m.tooSoon[ctx] {
			delete(m.tooSoon, ctx)
			return nil
		}
		if m.mayAnswer(ctx) {
			w.apply(readEarly)
			m.early = append(m.early, early{o.To, ctx, o.Index})
			return nil
		}
	}
	return w.fail("ours alone sends %s", describe(o))
}

// namedCommit returns the committed entry that a request for a vote of ours, or an answer to
// one, names.
func namedCommit(o *opb.Message) (index, term uint64) {
	switch o.Type {
	case opb.MsgVote, opb.MsgPreVote:
		return o.Commit, o.RejectHint
	case opb.MsgVoteResp, opb.MsgPreVoteResp:
		return o.Commit, o.LogTerm
	}
	return 0, 0
}

// checkFeatures checks what ours says of itself, which theirs drops and never says.
func (w *world) checkFeatures(o *opb.Message) error {
	want := uint64(0)
	switch o.Type {
	case opb.MsgVote, opb.MsgPreVote, opb.MsgHeartbeat, opb.MsgHeartbeatResp:
		want = opb.FeatureMembership
	case opb.MsgProp:
		// One that came as a message is passed on as it came.
		want = o.Features & opb.FeatureRefusals
	}
	if o.Features != want {
		return w.fail("ours says features %d, and not %d, in %s", o.Features, want, describe(o))
	}
	return nil
}

// checkAppend checks an append of ours by itself: what it says is in the log.
func (w *world) checkAppend(o *opb.Message) error {
	m := w.cur.m
	status := m.o.BasicStatus()
	if o.Term != status.Term && status.RaftState == ours.StateLeader || o.Commit > status.Commit {
		return w.fail("ours sends %s", describe(o))
	}
	if t := m.term(o.Index); o.Index > 0 && (o.LogTerm == 0 || t != 0 && t != o.LogTerm && status.RaftState == ours.StateLeader) {
		return w.fail("ours names a term that the entry has not: %s", describe(o))
	}
	for i := range o.Entries {
		if o.Entries[i].Index != o.Index+uint64(i)+1 {
			return w.fail("ours sends %s", describe(o))
		}
	}
	return nil
}

func (w *world) explainOurAppend(o *opb.Message) error {
	c, m := &w.cur, w.cur.m
	p := m.peer(o.To)
	if o.NoAnswer && len(o.Entries) == 0 {
		match := c.matches[o.To].match
		if c.in != nil && c.in.o.Type == opb.MsgAppResp && c.in.o.From == o.To && !c.in.o.Reject {
			match = max(match, c.in.o.Index)
		}
		if o.Index > match {
			return w.fail("ours tells of a commit at an entry that the peer may lack: %s", describe(o))
		}
		w.apply(commitNotice)
		return nil
	}
	switch {
	case slices.ContainsFunc(m.tout.messages, func(t tpb.Message) bool { return w.splits(o, &t) }):
		w.apply(splitAtDurable)
		c.split[o.To] = true
		return nil
	case p == nil:
		return w.fail("ours alone sends %s", describe(o))
	case p.State == progress.Snapshot && o.Index == p.PendingSnapshot && len(o.Entries) == 0 && c.op.kind == opTick:
		w.apply(snapshotAsked)
		return nil
	}
	if w.unreachable(o.To) {
		w.apply(unreachableProbed)
		m.alignPeer(p, m.tp.trk().Progress[o.To])
		return nil
	}
	first, _ := m.od.FirstIndex()
	switch {
	case c.matches[o.To].next == 0 && m.confChanged:
		w.apply(newPeerNext)
	case w.snapshotExpired(o.To) && p.State == progress.Probe:
	case len(o.Entries) == 0 && o.To == m.o.BasicStatus().LeadTransferee && p.Paused() &&
		(c.in == nil && c.op.kind == opTransfer || c.in != nil && c.in.o.Type == opb.MsgTransferLeader):
		w.apply(transferProbes)
	case len(o.Entries) == 0 && o.Index+1 < first && slices.ContainsFunc(m.tout.messages, func(t tpb.Message) bool {
		return t.Type == tpb.MsgSnap && t.To == o.To
	}):
		w.apply(probeBeforeSnapshot)
	case len(o.Entries) == 1 && w.mayBeCut(o.To):
		w.apply(allAtOnce)
	default:
		return w.fail("ours alone sends %s", describe(o))
	}
	return nil
}

// mayBeCut reports whether the step brought a leader proposals that MaxSizePerMsg cuts
// into several appends for a peer in replicate.
func (w *world) mayBeCut(id uint64) bool {
	c := &w.cur
	proposal := c.in == nil && c.op.kind == opProposeMany || c.in != nil && c.in.o.Type == opb.MsgProp && len(c.in.o.Entries) > 1
	return proposal && w.settings.oneEntryPerMsg && c.matches[id].next != 0 && c.matches[id].state == uint8(progress.Replicate)
}

func (w *world) explainTheirs(t *tpb.Message, os []opb.Message) error {
	m := w.cur.m
	switch t.Type {
	case tpb.MsgHeartbeat:
		if slices.ContainsFunc(os, func(o opb.Message) bool {
			return o.Type == opb.MsgHeartbeat && o.To == t.To && o.Commit == t.Commit
		}) {
			w.apply(beatsMerged)
			return nil
		}
		if m.alone() && len(t.Context) > 0 {
			w.apply(soleVoterReads)
			return nil
		}
	case tpb.MsgReadIndexResp:
		ctx := string(t.Entries[0].Data)
		if m.takeEarly(t.To, ctx, t.Index) {
			return nil
		}
		if w.byClock(ctx) {
			return nil
		}
		if w.readsTooSoon(t.Index) {
			w.apply(soleVoterCommitsFirst)
			m.tooSoon[ctx] = true
			return nil
		}
		if m.copies[ctx] > 1 || w.answersCopy() {
			w.apply(readCopied)
			return nil
		}
	case tpb.MsgTimeoutNow:
		if s := m.o.BasicStatus(); s.LeadTransferee == t.To && w.cur.before.LeadTransferee == t.To && m.peer(t.To).Match == s.LastIndex &&
			w.cur.matches[t.To].match == w.cur.before.LastIndex {
			w.apply(timeoutNowAgain)
			return nil
		}
	case tpb.MsgSnap:
		if w.oldAnswer(t.To) {
			return nil // comparePeer sets it right
		}
		if p := m.peer(t.To); p != nil && w.refusedAt(t.To, p.Match) && p.State == progress.Probe {
			w.apply(refusedAtMatch)
			m.alignPeer(p, m.tp.trk().Progress[t.To])
			return nil
		}
		first, _ := m.od.FirstIndex()
		if p := m.peer(t.To); p != nil && p.State == progress.Replicate && p.Window.Full() && p.Next < first {
			w.apply(probeBeforeSnapshot)
			m.alignPeer(p, m.tp.trk().Progress[t.To])
			return nil
		}
		if slices.ContainsFunc(os, func(o opb.Message) bool {
			return o.Type == opb.MsgApp && o.To == t.To && o.Index+1 < first && len(o.Entries) == 0
		}) {
			w.apply(probeBeforeSnapshot)
			m.alignPeer(m.peer(t.To), m.tp.trk().Progress[t.To])
			return nil
		}
	case tpb.MsgApp:
		p := m.peer(t.To)
		if slices.ContainsFunc(os, func(o opb.Message) bool { return o.Index == t.Index && w.splits(&o, t) }) {
			return nil // counted already
		}
		if p == nil && m.confChanged && w.cur.matches[t.To].next != 0 && len(t.Entries) == 0 {
			w.apply(commitNotice) // to a member that the step removed
			return nil
		}
		if b := &w.cur.matches[t.To]; p == nil && m.confChanged && w.settings.inflightBytes != 0 && b.state != uint8(progress.Snapshot) &&
			b.next != 0 && t.Index+1 >= b.next && slices.ContainsFunc(os, func(o opb.Message) bool {
			return o.Type == opb.MsgApp && o.To == t.To && len(o.Entries) > 0 && o.Index < t.Index
		}) {
			w.apply(windowBytes) // to a member that the step removed
			return nil
		}
		if p == nil {
			break
		}
		if w.oldAnswer(t.To) {
			return nil
		}
		// The append that answers a heartbeat's answer is no notice: ours has to send it.
		probe := w.cur.in != nil && w.cur.in.o.Type == opb.MsgHeartbeatResp && w.cur.in.o.From == t.To
		if !probe && len(t.Entries) == 0 && p.State == progress.Replicate && min(p.Match, m.o.BasicStatus().Commit) <= p.SentCommit {
			w.apply(commitNotice)
			return nil
		}
		if w.cur.split[t.To] && p.State == progress.Replicate && p.Window.Full() && t.Index+1 >= p.Next {
			return nil // the parts have filled the window
		}
		switch {
		case w.bytesStop(t.To) && len(t.Entries) > 0 && t.Index+1 >= p.Next:
			w.apply(windowBytes)
			return nil
		case w.cur.matches[t.To].next == 0 && m.confChanged:
			w.apply(newPeerNext)
			return nil
		case w.refusedAt(t.To, p.Match):
			w.apply(refusedAtMatch)
			return nil
		case w.mayBeCut(t.To) && slices.ContainsFunc(os, func(o opb.Message) bool {
			return o.Type == opb.MsgApp && o.To == t.To && o.Index == t.Index && o.Commit < t.Commit && entriesDiffer(o.Entries, t.Entries) == ""
		}):
			w.apply(allAtOnce) // and before the step's commit
			return nil
		}
	case tpb.MsgAppResp:
		if in := w.cur.in; in != nil && in.o.NoAnswer && !t.Reject {
			w.apply(commitNotice)
			return nil
		}
	case tpb.MsgProp, tpb.MsgReadIndex:
		if w.cur.oErr != nil {
			return nil // bounced
		}
	}
	o := etcdraft.ToMessage(t)
	return w.fail("theirs alone sends %s", describe(&o))
}

// snapshotExpired reports whether the step is the tick by which a snapshot to the
// peer has taken too long.
func (w *world) snapshotExpired(id uint64) bool {
	c := &w.cur
	b := &c.matches[id]
	return c.op.kind == opTick && c.in == nil && b.next != 0 && b.state == uint8(progress.Snapshot) && b.ticks+1 >= w.settings.snapshotTicks
}

// refusedAt reports whether the step brought the peer's refusal of an append at or
// before match.
func (w *world) refusedAt(id, match uint64) bool {
	in := w.cur.in
	return in != nil && in.o.Type == opb.MsgAppResp && in.o.From == id && in.o.Reject && in.o.Index <= match
}

// unreachable reports whether the step is a report that the peer is unreachable.
func (w *world) unreachable(id uint64) bool {
	c := &w.cur
	return c.op.kind == opUnreachable && c.in == nil && id == w.peerOf(c.op)
}

// oldAnswer reports whether the step brought an acknowledgement of the peer, which
// is being probed, that is no answer to the probe.
func (w *world) oldAnswer(id uint64) bool {
	c := &w.cur
	b := &c.matches[id]
	return c.in != nil && c.in.o.Type == opb.MsgAppResp && c.in.o.From == id && !c.in.o.Reject &&
		b.next != 0 && b.state == uint8(progress.Probe) && c.in.o.Index+1 < b.next
}
