package raft

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	pb "github.com/quorate-raft/raft/raftpb"
)

// contractHost is a correct, pipelined host of one node: it writes, acknowledges
// and applies in order but as late as a test likes, and checks at every step
// what a Ready may hold. What the node is told by others may be anything.
type contractHost struct {
	t   testing.TB
	cfg Config
	ms  *MemoryStorage
	rn  *RawNode
	rnd uint64 // starts, to seed each

	hard    pb.HardState // on disk
	applied uint64       // the state machine's
	// handed are the Readys not acknowledged yet, the first written of which
	// are on disk.
	handed  []handedReady
	written int
	queue   []toApply // committed entries and snapshots not applied yet

	last       pb.HardState // as last handed out
	log        []pb.Entry   // log[i] has index logBase+i: handed out to be written
	logBase    uint64
	next       uint64 // the next entry to be handed out as committed
	restoring  uint64 // index of a snapshot that is handed out and not applied
	durable    uint64 // end of what was acknowledged and not replaced since
	votes      map[uint64]uint64
	reads      map[string]bool
	sent       []pb.Message // what left, newest last
	lastToken  AppendToken
	mayBeEmpty bool // a Ready may turn out empty, as snapshots are not to be had
}

type handedReady struct {
	rd   Ready
	copy Ready // deep enough to find out whether rd changed
}

type toApply struct {
	ents []pb.Entry
	snap *pb.SnapshotMetadata
}

func (h *contractHost) failf(format string, args ...any) {
	h.t.Helper()
	h.t.Fatalf(format, args...)
}

// newContractHost starts node 1 with the given voters, from a snapshot at 1.
func newContractHost(t testing.TB, cfg Config, voters ...uint64) *contractHost {
	h := &contractHost{t: t, cfg: cfg, ms: NewMemoryStorage(), votes: map[uint64]uint64{}, reads: map[string]bool{}}
	if len(voters) > 0 {
		h.must(h.ms.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 1, Term: 1, ConfState: pb.ConfState{Voters: voters}}}))
		h.applied = 1
	}
	h.start()
	return h
}

func (h *contractHost) must(err error) {
	if err != nil {
		h.t.Helper()
		h.failf("%v", err)
	}
}

// start starts the node from what is on disk, as after a crash.
func (h *contractHost) start() {
	if err := h.tryStart(); err != nil {
		h.failf("start: %v", err)
	}
}

func (h *contractHost) tryStart() error {
	h.rnd++
	snap, _ := h.ms.Snapshot()
	h.applied = max(h.applied, snap.Metadata.Index) // restored first
	cfg := h.cfg
	cfg.ID, cfg.Applied = 1, h.applied
	if cfg.Storage == nil {
		cfg.Storage = h.ms
	}
	cfg.Rand = rand.NewPCG(1, h.rnd)
	rn, err := NewRawNode(&cfg)
	if err != nil {
		return err
	}
	h.rn = rn
	h.handed, h.written, h.queue, h.sent = nil, 0, nil, nil
	h.hard, _, _ = h.ms.InitialState()
	h.last = h.hard
	first, _ := h.ms.FirstIndex()
	last, _ := h.ms.LastIndex()
	h.logBase = first
	h.log = nil
	if first <= last {
		ents, err := h.ms.Entries(first, last+1, noLimit)
		h.must(err)
		h.log = slices.Clone(ents)
	}
	h.applied = rn.raft.log.applied
	h.next, h.durable, h.restoring = h.applied+1, last, 0
	h.lastToken = AppendToken{}
	clear(h.reads)
	return nil
}

func (h *contractHost) end() uint64 { return h.logBase + uint64(len(h.log)) - 1 }

// ready takes a Ready and checks it.
func (h *contractHost) ready() bool {
	has := h.rn.HasReady()
	rd := h.rn.Ready()
	if h.rn.Err() != nil {
		return false
	}
	if has != !rd.IsEmpty() && (!has || !h.mayBeEmpty) {
		h.failf("HasReady says %t: %+v", has, rd)
	}
	if rd.IsEmpty() {
		if rd.token != (AppendToken{}) {
			h.failf("an empty Ready with a token")
		}
		return false
	}
	h.checkWrites(&rd)
	h.checkCommitted(&rd)
	h.checkMessages(&rd)
	h.lastToken = rd.token
	h.handed = append(h.handed, handedReady{rd: rd, copy: cloneReady(rd)})
	if h.rn.HasReady() && !h.mayBeEmpty && len(rd.CommittedEntries) == 0 {
		h.failf("a Ready leaves something behind: %+v", rd)
	}
	return true
}

func cloneReady(rd Ready) Ready {
	rd.Entries = slices.Clone(rd.Entries)
	rd.CommittedEntries = slices.Clone(rd.CommittedEntries)
	rd.Messages = slices.Clone(rd.Messages)
	rd.MessagesAfterAppend = slices.Clone(rd.MessagesAfterAppend)
	rd.ReadStates = slices.Clone(rd.ReadStates)
	return rd
}

// sameReady reports whether what is in the arrays of a is still what is in those
// of its copy b.
func sameReady(a, b *Ready) bool {
	message := func(m, n pb.Message) bool {
		same := sameEntries(m.Entries, n.Entries) && m.Snapshot == n.Snapshot && bytes.Equal(m.Context, n.Context)
		return same && m.Type == n.Type && m.To == n.To && m.From == n.From && m.Term == n.Term && m.Index == n.Index &&
			m.LogTerm == n.LogTerm && m.Commit == n.Commit && m.Reject == n.Reject && m.RejectHint == n.RejectHint && m.Round == n.Round
	}
	return sameEntries(a.Entries, b.Entries) && sameEntries(a.CommittedEntries, b.CommittedEntries) &&
		slices.EqualFunc(a.Messages, b.Messages, message) && slices.EqualFunc(a.MessagesAfterAppend, b.MessagesAfterAppend, message) &&
		slices.EqualFunc(a.ReadStates, b.ReadStates, func(r, s ReadState) bool {
			return r.Index == s.Index && bytes.Equal(r.RequestCtx, s.RequestCtx)
		})
}

func sameEntries(a, b []pb.Entry) bool {
	return slices.EqualFunc(a, b, func(e, f pb.Entry) bool {
		return e.Index == f.Index && e.Term == f.Term && e.Type == f.Type && bytes.Equal(e.Data, f.Data)
	})
}

// checkWrites: entries continue what was handed out, and MustSync is set exactly
// when term, vote, log or snapshot changed or the commit passed a change of
// configuration.
func (h *contractHost) checkWrites(rd *Ready) {
	sync := len(rd.Entries) > 0
	if !IsEmptySnap(rd.Snapshot) {
		sync = true
		meta := &rd.Snapshot.Metadata
		if meta.Index <= h.last.Commit {
			h.failf("snapshot at %d, commit %d", meta.Index, h.last.Commit)
		}
		h.log, h.logBase = nil, meta.Index+1
		h.restoring = meta.Index
	}
	for i := range rd.Entries {
		e := &rd.Entries[i]
		if i == 0 {
			if e.Index > h.end()+1 || e.Index < h.logBase || e.Index <= h.last.Commit {
				h.failf("entries from %d on, the log is [%d, %d] and committed to %d", e.Index, h.logBase, h.end(), h.last.Commit)
			}
			h.log = append([]pb.Entry(nil), h.log[:e.Index-h.logBase]...)
			h.durable = min(h.durable, e.Index-1)
		} else if e.Index != rd.Entries[i-1].Index+1 || e.Term < rd.Entries[i-1].Term {
			h.failf("entry {%d %d} follows {%d %d}", e.Term, e.Index, rd.Entries[i-1].Term, rd.Entries[i-1].Index)
		}
		h.log = append(h.log, *e)
	}
	if hs := rd.HardState; !IsEmptyHardState(hs) {
		if hs == h.last || hs.Term < h.last.Term || hs.Commit < h.last.Commit || hs.Commit > h.end() {
			h.failf("hard state %+v after %+v, the log ends at %d", hs, h.last, h.end())
		}
		if hs.Term == h.last.Term && hs.Vote != h.last.Vote && h.last.Vote != None {
			h.failf("the vote of term %d changed from %d to %d", hs.Term, h.last.Vote, hs.Vote)
		}
		sync = sync || hs.Term != h.last.Term || hs.Vote != h.last.Vote
		for i := max(h.last.Commit+1, h.applied+1, h.logBase); i <= hs.Commit; i++ {
			sync = sync || isConfEntry(h.log[i-h.logBase].Type)
		}
		h.last = hs
	}
	if sync != rd.MustSync {
		h.failf("MustSync is %t: %+v", rd.MustSync, rd)
	}
}

// checkCommitted: what is to be applied is contiguous, comes once, and is what
// was acknowledged as durable; nothing comes beside or before a snapshot.
func (h *contractHost) checkCommitted(rd *Ready) {
	if h.restoring != 0 && len(rd.CommittedEntries) > 0 {
		h.failf("committed entries before the snapshot at %d is applied", h.restoring)
	}
	for i := range rd.CommittedEntries {
		e := &rd.CommittedEntries[i]
		switch {
		case e.Index != h.next:
			h.failf("committed entry %d instead of %d", e.Index, h.next)
		case e.Index > h.durable:
			h.failf("committed entry %d, durable up to %d", e.Index, h.durable)
		case e.Index > h.last.Commit:
			h.failf("committed entry %d past the commit %d", e.Index, h.last.Commit)
		}
		if at := h.log[e.Index-h.logBase]; at.Term != e.Term || at.Type != e.Type || !bytes.Equal(at.Data, e.Data) {
			h.failf("committed entry %+v, the log has %+v", e, at)
		}
		h.next++
	}
	if len(rd.CommittedEntries) > 0 {
		h.queue = append(h.queue, toApply{ents: rd.CommittedEntries})
	}
	if !IsEmptySnap(rd.Snapshot) {
		h.queue = append(h.queue, toApply{snap: &rd.Snapshot.Metadata})
		h.next = rd.Snapshot.Metadata.Index + 1
	}
}

// checkMessages: votes, requests for them and append acknowledgements wait for
// the disk, and nothing else does but an answer to a heartbeat that told of a
// change of configuration.
func (h *contractHost) checkMessages(rd *Ready) {
	for i := range rd.Messages {
		if t := rd.Messages[i].Type; t == pb.MsgAppResp || t == pb.MsgVoteResp || t == pb.MsgVote {
			h.failf("%v leaves before it is durable", t)
		}
	}
	for i := range rd.MessagesAfterAppend {
		switch t := rd.MessagesAfterAppend[i].Type; t {
		case pb.MsgAppResp, pb.MsgVoteResp, pb.MsgVote, pb.MsgHeartbeatResp:
		default:
			h.failf("%v waits for the disk", t)
		}
	}
	for i := range rd.ReadStates {
		if !h.reads[string(rd.ReadStates[i].RequestCtx)] {
			h.failf("answer to a read %q that was never asked", rd.ReadStates[i].RequestCtx)
		}
	}
	h.leave(rd.Messages)
}

func (h *contractHost) leave(msgs []pb.Message) {
	h.sent = append(h.sent, msgs...)
	if len(h.sent) > 32 {
		h.sent = append(h.sent[:0], h.sent[len(h.sent)-16:]...)
	}
}

// persist writes the oldest Ready that is not written, then lets its promises
// leave, which must be true of the disk.
func (h *contractHost) persist() bool {
	if h.written == len(h.handed) {
		return false
	}
	rd := &h.handed[h.written].rd
	h.written++
	if !IsEmptySnap(rd.Snapshot) {
		h.must(h.ms.ApplySnapshot(rd.Snapshot))
	}
	h.must(h.ms.Append(rd.Entries))
	if !IsEmptyHardState(rd.HardState) {
		if rd.HardState.Term < h.hard.Term || rd.HardState.Commit < h.hard.Commit {
			h.failf("hard state on disk goes back from %+v to %+v", h.hard, rd.HardState)
		}
		h.hard = rd.HardState
		h.must(h.ms.SetHardState(h.hard))
	}
	end, _ := h.ms.LastIndex()
	for i := range rd.MessagesAfterAppend {
		m := &rd.MessagesAfterAppend[i]
		switch {
		case m.Term > h.hard.Term:
			h.failf("%v of term %d, on disk is %d", m.Type, m.Term, h.hard.Term)
		case m.Reject:
		case m.Type == pb.MsgAppResp && m.Index > end:
			h.failf("acknowledges entry %d, on disk is %d", m.Index, end)
		case m.Type == pb.MsgVoteResp:
			h.vote(m.Term, m.To)
		}
	}
	h.leave(rd.MessagesAfterAppend)
	return true
}

// vote notes a vote that counts: one for each term, for ever, and on disk.
func (h *contractHost) vote(term, to uint64) {
	if h.hard.Term != term || h.hard.Vote != to {
		h.failf("vote for %d in term %d counts, on disk is %+v", to, term, h.hard)
	}
	if was := h.votes[term]; was != 0 && was != to {
		h.failf("votes for %d and %d in term %d", was, to, term)
	}
	h.votes[term] = to
}

// acknowledge acknowledges the first n Readys at once, which are written.
func (h *contractHost) acknowledge(n int) bool {
	n = min(n, h.written)
	if n == 0 {
		return false
	}
	for i := range h.handed[:n] {
		if !sameReady(&h.handed[i].rd, &h.handed[i].copy) {
			h.failf("a Ready changed before it was acknowledged:\n%+v\n%+v", h.handed[i].copy, h.handed[i].rd)
		}
	}
	token := h.handed[n-1].rd.token
	for i := range h.handed[:n] {
		rd := &h.handed[i].rd
		if !IsEmptySnap(rd.Snapshot) {
			h.durable = rd.Snapshot.Metadata.Index
		}
		for j := range rd.Entries {
			e := &rd.Entries[j]
			if e.Index != h.durable+1 || e.Index < h.logBase || e.Index > h.end() {
				continue
			}
			// Replaced since, by what is handed out or by what is in the node?
			if at := &h.log[e.Index-h.logBase]; at.Term == e.Term {
				h.durable = e.Index
			}
		}
	}
	h.handed = h.handed[n:]
	h.written -= n
	if err := h.rn.AckAppend(token); err != nil && h.rn.Err() == nil {
		h.failf("acknowledgement: %v", err)
	}
	return true
}

// apply applies what is oldest of what was handed out, and persists that.
func (h *contractHost) apply() bool {
	if len(h.queue) == 0 {
		return false
	}
	q := h.queue[0]
	if q.snap != nil {
		if h.applied >= q.snap.Index {
			h.failf("snapshot at %d, applied is %d", q.snap.Index, h.applied)
		}
		if err := h.rn.AckApply(q.snap.Index); err != nil {
			return false // not acknowledged as durable yet
		}
		h.applied = q.snap.Index
		if h.restoring == h.applied {
			h.restoring = 0
		}
		h.queue = h.queue[1:]
		return true
	}
	h.queue = h.queue[1:]
	for _, e := range q.ents {
		if isConfEntry(e.Type) {
			if cc, err := pb.UnmarshalConfChange(e); err == nil {
				h.ms.SetConfState(*h.rn.ApplyConfChange(cc))
			}
		}
		h.applied = max(h.applied, e.Index)
	}
	if err := h.rn.AckApply(h.applied); err != nil && h.rn.Err() == nil {
		h.failf("acknowledgement of applied %d: %v", h.applied, err)
	}
	return true
}

// settle does all there is to do, one thing after the other.
func (h *contractHost) settle() {
	for range 1000 {
		if h.rn.Err() != nil {
			return
		}
		busy := h.ready()
		busy = h.persist() || busy
		busy = h.acknowledge(1) || busy
		busy = h.apply() || busy
		if !busy {
			return
		}
	}
	h.failf("the node does not come to rest")
}

// elect makes the node the leader of its group, the others agreeing.
func (h *contractHost) elect() {
	h.must(h.rn.Campaign())
	for range 10 {
		h.settle()
		if h.rn.raft.role == StateLeader {
			return
		}
		for _, m := range slices.Clone(h.sent) {
			if a, ok := agreeing(&m); ok {
				_ = h.rn.Step(a)
			}
		}
	}
	h.failf("not elected: %v", h.rn.Explain())
}

// agreeing returns the answer of a peer that agrees to all.
func agreeing(m *pb.Message) (pb.Message, bool) {
	a := pb.Message{From: m.To, To: m.From, Term: m.Term}
	switch m.Type {
	case pb.MsgPreVote:
		a.Type = pb.MsgPreVoteResp
	case pb.MsgVote:
		a.Type = pb.MsgVoteResp
	case pb.MsgApp:
		a.Type, a.Index = pb.MsgAppResp, m.Index+uint64(len(m.Entries))
	case pb.MsgSnap:
		a.Type, a.Index = pb.MsgAppResp, m.Snapshot.Metadata.Index
	case pb.MsgHeartbeat:
		a.Type, a.Round, a.Context, a.LeaseTicks = pb.MsgHeartbeatResp, m.Round, m.Context, 10
	default:
		return a, false
	}
	return a, true
}

// follow makes the node a follower of 2 in the given term whose log is ents
// after the snapshot at 1, committed up to commit.
func (h *contractHost) follow(term, commit uint64, ents ...pb.Entry) {
	h.must(h.rn.Step(pb.Message{Type: pb.MsgApp, From: 2, To: 1, Term: term, Index: 1, LogTerm: 1, Entries: ents, Commit: commit}))
	h.settle()
}

// ents returns entries after index with the given terms.
func entriesAfter(index uint64, terms ...uint64) []pb.Entry {
	out := make([]pb.Entry, len(terms))
	for i, term := range terms {
		out[i] = pb.Entry{Term: term, Index: index + 1 + uint64(i), Data: []byte{byte(i)}}
	}
	return out
}
