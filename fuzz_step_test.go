package raft

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/quorate-raft/raft/progress"
	pb "github.com/quorate-raft/raft/raftpb"
)

// FuzzStep turns bytes into what may happen to one node of three to five with a
// correct host: messages that are plausible and messages that no peer sends,
// ticks, proposals, changes of configuration, reads, transfers, reports, writes
// and acknowledgements that come late or at once, compaction, and crashes. No
// input may make it panic, get its cursors out of order, break the contract of
// Ready (checked by contractHost), forget a term or vote twice in one.
//
// The first byte chooses the configuration; each operation is a byte and its
// arguments.
func FuzzStep(f *testing.F) {
	for _, seed := range fuzzSeeds() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 400 {
			return
		}
		newFuzzRun(t, data).run()
	})
}

// What FuzzStep looks for, in runs that are drawn at random: often after an
// election, and with rounds in which the others agree.
func TestRandomStepsHoldTheContract(t *testing.T) {
	elected := fuzzSeeds()[0][1:8]
	for seed := range uint64(6000) {
		rnd := rand.New(rand.NewPCG(seed, 31))
		data := []byte{byte(rnd.Uint32())}
		if seed%2 == 0 {
			data = append(data, elected...)
		}
		for range rnd.IntN(150) {
			b := byte(rnd.Uint32())
			switch rnd.IntN(8) {
			case 0:
				b = opRound
			case 1, 2:
				b &= 15
			}
			data = append(data, b)
		}
		func() {
			defer func() {
				if t.Failed() {
					t.Logf("input: %q", data)
				}
			}()
			newFuzzRun(t, data).run()
		}()
	}
}

// The bytes of the operations. Arguments follow.
const (
	opTick      = iota // how many
	opPropose          // size
	opConf             // type, node
	opReady            //
	opPersist          //
	opAck              // how many
	opApply            //
	opSettle           //
	opAgree            // which message
	opStep             // eight bytes, see message
	opAppend           // of a plausible leader: four bytes
	opSnapshot         // of a plausible leader: one byte
	opCompact          // how far
	opRestart          // what was applied
	opTransfer         // target
	opRead             //
	opReport           // what, node
	opCampaign         //
	opToken            // how it is altered
	opJoint            // which
	opHeartbeat        // of a plausible leader: one byte
	opForget           //
	opRound            // which of the others answer
	opTarget           // voters, learners
	opCount
)

type fuzzRun struct {
	h    *contractHost
	data []byte
	made int
	term uint64 // the highest seen, for each incarnation
	lead map[uint64]bool
}

func newFuzzRun(t testing.TB, data []byte) *fuzzRun {
	f := &fuzzRun{data: data, lead: map[uint64]bool{}}
	b := f.next()
	cfg := Config{
		DisablePreVote: b&1 != 0, DisableCheckQuorum: b&2 != 0, MaxInflightMsgs: 1 + int(b>>4&3),
		MaxSizePerMsg: 40, MaxUncommittedSize: 200, ElectionTick: 5, SnapshotTicks: 12, MaxPendingReads: 4,
		DisableProposalForwarding: b&64 != 0,
	}
	if b&4 != 0 && !cfg.DisableCheckQuorum {
		cfg.ReadOnlyOption = ReadOnlyLeaseBased
	}
	if b&128 != 0 {
		cfg.ConfChangeEffect = OnAppend
	}
	f.h = newContractHost(t, cfg, []uint64{1, 2, 3, 4, 5}[:3+int(b>>3&1)*2]...)
	f.h.mayBeEmpty = true
	return f
}

func (f *fuzzRun) next() byte {
	if len(f.data) == 0 {
		return 0
	}
	b := f.data[0]
	f.data = f.data[1:]
	return b
}

func (f *fuzzRun) run() {
	for len(f.data) > 0 {
		f.step()
		f.check()
	}
	f.h.settle()
	f.check()
}

func (f *fuzzRun) step() {
	h, rn := f.h, f.h.rn
	switch f.next() % opCount {
	case opTick:
		for range f.next()%16 + 1 {
			rn.Tick()
		}
	case opPropose:
		_ = rn.Propose(make([]byte, f.next()))
	case opConf:
		_ = rn.ProposeConfChange(pb.ConfChange{Type: pb.ConfChangeType(f.next() % 5), NodeID: uint64(f.next() % 8)})
	case opReady:
		h.ready()
	case opPersist:
		h.persist()
	case opAck:
		h.acknowledge(int(f.next()%4) + 1)
	case opApply:
		h.apply()
	case opSettle:
		h.settle()
	case opAgree:
		if n := len(h.sent); n > 0 {
			if a, ok := agreeing(&h.sent[n-1-int(f.next())%n]); ok {
				_ = f.say(a)
			}
		}
	case opStep:
		_ = rn.Step(f.message())
	case opAppend:
		f.plausibleAppend()
	case opSnapshot:
		b := f.next()
		m := snapshotMessage(rn.raft.log.committed+uint64(b%6), f.termBy(b>>4))
		if b&8 != 0 {
			m.Snapshot.Metadata.ConfState = pb.ConfState{Voters: []uint64{1, 2}, VotersOutgoing: []uint64{2, 3}, LearnersNext: []uint64{3}, AutoLeave: b&64 != 0}
		}
		_ = f.say(m)
	case opCompact:
		f.compact(f.next())
	case opRestart:
		if b := f.next(); b&1 != 0 {
			h.applied = 0 // the state machine was in memory
		}
		f.term = 0
		h.start()
	case opTransfer:
		if b := f.next(); b&8 != 0 {
			_ = rn.AbortTransfer()
		} else {
			_ = rn.TransferLeader(uint64(b))
		}
	case opRead:
		f.made++
		ctx := fmt.Sprint("read ", f.made)
		h.reads[ctx] = true
		_ = rn.ReadIndex([]byte(ctx))
		_, _ = rn.LeaseRead()
	case opReport:
		if b := f.next(); b&1 != 0 {
			_ = rn.ReportUnreachable(uint64(b >> 4))
		} else {
			_ = rn.ReportSnapshot(uint64(b>>4), SnapshotStatus(b>>1&3))
		}
	case opCampaign:
		_ = rn.Campaign()
	case opToken:
		f.foreignToken(f.next())
	case opJoint:
		f.joint(f.next())
	case opHeartbeat:
		b := f.next()
		log := rn.raft.log
		_ = f.say(pb.Message{Type: pb.MsgHeartbeat, From: 2 + uint64(b&1), To: 1, Term: f.termBy(b >> 4), Commit: min(log.committed+uint64(b>>1&3), log.last.index), Round: uint64(b)})
	case opRound:
		f.round(f.next())
	case opTarget:
		f.target(f.next(), f.next())
	case opForget:
		_ = rn.ForgetLeader()
		_ = rn.Explain()
		_ = rn.Status()
	}
}

// target sets a membership target, or cancels one. The bits of voters are those who are to vote.
func (f *fuzzRun) target(voters, learners byte) {
	rn := f.h.rn
	var m pb.Membership
	for i := range uint64(8) {
		switch {
		case voters>>i&1 != 0:
			m.Voters = append(m.Voters, pb.Member{ID: i})
		case learners>>i&1 != 0:
			m.Learners = append(m.Learners, pb.Member{ID: i, Context: []byte{learners}})
		}
	}
	if voters == 0 {
		version := uint64(learners)
		if t := rn.raft.conf.cfg.Target; t != nil {
			version = t.Version
		}
		_ = rn.CancelMembership(version)
		return
	}
	m.Force = learners&1 != 0
	_, _ = rn.CheckMembership(m)
	_ = rn.ProposeMembership(m)
}

// say hands the node a message of one of its kind.
func (f *fuzzRun) say(m pb.Message) error {
	if saysEffect(m.Type) {
		m.Features = f.h.rn.raft.features()
	}
	return f.h.rn.Step(m)
}

// round lets some of the others agree to all that was sent to them lately.
func (f *fuzzRun) round(b byte) {
	h := f.h
	h.settle()
	sent := h.sent
	h.sent = nil
	for i := range sent {
		if a, ok := agreeing(&sent[i]); ok && b>>(sent[i].To%8)&1 == 0 {
			_ = f.say(a)
		}
	}
	h.settle()
}

// termBy is a term near the node's.
func (f *fuzzRun) termBy(b byte) uint64 {
	return f.h.rn.raft.term + uint64(b%4) - min(f.h.rn.raft.term, uint64(b>>2&1))
}

// index is one near the places of the log that matter, or an impossible one.
func (f *fuzzRun) index(b byte) uint64 {
	l := f.h.rn.raft.log
	off := uint64(b & 3)
	switch b >> 2 % 10 {
	case 0:
		return off
	case 1:
		return l.committed + off
	case 2:
		return l.committed - min(l.committed, off)
	case 3:
		return l.last.index + off
	case 4:
		return l.last.index - min(l.last.index, off)
	case 5:
		return l.durable + off
	case 6:
		return l.applied + off
	case 7:
		return 1<<62 - off
	case 8:
		return 1<<60 + off
	default:
		return 1<<64 - 1 - off
	}
}

// message is any message at all.
func (f *fuzzRun) message() pb.Message {
	l := f.h.rn.raft.log
	b := f.next()
	m := pb.Message{Type: pb.MessageType(int(b%26) - 1), From: uint64(f.next() % 8), To: 1}
	if m.Type == 24 {
		m.Type = [...]pb.MessageType{24, pb.MsgRemoved, pb.MsgPropRefused, pb.MsgPropRefused}[b/26%4]
	}
	if b > 250 {
		m.To = uint64(b % 3)
	}
	switch t := f.next(); {
	case t < 200:
		m.Term = f.termBy(t)
	case t < 230:
	case t < 240:
		m.Term = 1<<62 + uint64(t%2)
	default:
		m.Term = 1<<64 - 1 - uint64(t%3)
	}
	m.Index = f.index(f.next())
	if t, err := l.term(m.Index); err == nil && b&1 != 0 {
		m.LogTerm = t
	} else {
		m.LogTerm = m.Term - min(m.Term, uint64(b>>5))
	}
	m.Commit = f.index(f.next())
	flags := f.next()
	m.Reject, m.NoAnswer = flags&1 != 0, flags&2 != 0
	m.RejectHint = f.index(flags >> 2)
	m.Round, m.LeaseTicks, m.Features = m.Index, uint64(flags>>4), uint64(flags>>5)
	if flags&16 != 0 {
		m.Context = []byte(transferContext)
	}
	m.Features = f.h.rn.raft.features()
	if flags&96 == 96 {
		m.Features ^= pb.FeatureOnAppend | pb.FeatureMembership
	}
	n := f.next()
	for i := range n & 3 {
		e := pb.Entry{Index: m.Index + 1 + uint64(i), Term: m.LogTerm + uint64(n>>2&1), Type: pb.EntryType(int(n>>3&7) - 1)}
		if n&64 != 0 {
			e.Data = []byte{0x10, n & 7}
		}
		if n&128 != 0 && i == 1 {
			e.Index++
		}
		m.Entries = append(m.Entries, e)
	}
	if m.Type == pb.MsgSnap && n&4 != 0 {
		m.Snapshot = &pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: m.Index, Term: m.LogTerm, ConfState: pb.ConfState{
			Voters: []uint64{uint64(n >> 3 & 3), 2}, Learners: []uint64{uint64(n >> 5)}, Index: m.Commit,
		}}}
	}
	return m
}

// plausibleAppend is of a leader whose log agrees with the node's for a while.
func (f *fuzzRun) plausibleAppend() {
	a, b, c := f.next(), f.next(), f.next()
	l := f.h.rn.raft.log
	prev := l.last.index - min(l.last.index, uint64(a%8))
	logTerm, err := l.term(prev)
	if err != nil {
		prev, logTerm = l.committed, 0
		if logTerm, err = l.term(prev); err != nil {
			return
		}
	}
	m := pb.Message{Type: pb.MsgApp, From: 2 + uint64(a>>7), To: 1, Term: max(f.termBy(b), logTerm), Index: prev, LogTerm: logTerm}
	term := logTerm
	for i := range c % 8 {
		e := pb.Entry{Index: prev + 1 + uint64(i)}
		// Most often what the node has, else new ones.
		if t, err := l.term(e.Index); err == nil && (e.Index <= l.committed || c&64 == 0) {
			term = t
		} else {
			term = max(term, m.Term-uint64(c>>3&1))
			e.Data = []byte{c, b}
			if c&16 != 0 && i == 0 {
				e.Type = pb.EntryConfChangeV2
				e.Data, _ = (&pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{{Type: pb.ConfChangeType(b % 4), NodeID: uint64(1 + b>>4%6)}}}).Marshal()
			}
		}
		e.Term = term
		m.Entries = append(m.Entries, e)
	}
	m.Commit = prev + uint64(c>>5)
	_ = f.say(m)
}

// compact makes a snapshot of what is applied and perhaps drops the log.
func (f *fuzzRun) compact(b byte) {
	h := f.h
	if h.written != 0 || h.restoring != 0 {
		return
	}
	last, _ := h.ms.LastIndex()
	to := min(h.applied, last) // a former life's disk may be ahead
	to -= min(to, uint64(b%4))
	_, cs, _ := h.ms.InitialState()
	if cs.Index > to {
		return // not the configuration of that index
	}
	if _, err := h.ms.CreateSnapshot(to, &cs, nil); err == nil && b&4 != 0 {
		h.must(h.ms.Compact(to))
	}
}

// foreignToken acknowledges what was never handed out.
func (f *fuzzRun) foreignToken(b byte) {
	k := f.h.lastToken
	switch b % 4 {
	case 0, 2:
		k.instance += 1 + uint64(b>>2)
	case 1:
		k.seq += 1 + uint64(b>>2)
	case 3:
		k = AppendToken{}
	}
	if err := f.h.rn.AckAppend(k); err == nil {
		f.h.failf("a foreign acknowledgement is accepted")
	}
	if err := f.h.rn.AckApply(f.h.rn.raft.log.applying + 1 + uint64(b)); err == nil {
		f.h.failf("applied what was not handed out")
	}
}

func (f *fuzzRun) joint(b byte) {
	cc := pb.ConfChangeV2{Transition: pb.ConfChangeTransition(b & 3)}
	if b&4 != 0 {
		cc.Changes = []pb.ConfChangeSingle{
			{Type: pb.ConfChangeType(b >> 3 & 3), NodeID: uint64(1 + b>>5)},
			{Type: pb.ConfChangeType(b >> 4 & 3), NodeID: uint64(1 + (b>>3)%6)},
		}
	}
	_ = f.h.rn.ProposeConfChange(cc)
}

// check checks the node from within.
func (f *fuzzRun) check() {
	h, r := f.h, f.h.rn.raft
	if r.err != nil {
		h.failf("storage: %v", r.err)
	}
	r.log.check()
	if n := len(r.collecting().refusals); n > maxRefusals {
		h.failf("%d refusals are kept", n)
	}
	if r.term < f.term {
		h.failf("term goes back from %d to %d", f.term, r.term)
	}
	f.term = r.term
	if len(r.conf.features) != len(r.conf.ids) {
		h.failf("features of %d, %d members", len(r.conf.features), len(r.conf.ids))
	}
	if r.onAppend() {
		f.checkConf()
	}
	if (r.role == StateLeader) != (r.leader != nil) || (r.role == StateCandidate || r.role == StatePreCandidate) != (r.candidate != nil) {
		h.failf("%v with the state of another role", r.role)
	}
	if r.role != StateLeader {
		return
	}
	if !f.lead[r.term] {
		f.lead[r.term] = true
		h.vote(r.term, r.id) // its own vote counted
	}
	if len(r.leader.peers) != len(r.conf.ids) || r.lead != r.id {
		h.failf("%d peers of %d members, leader %d", len(r.leader.peers), len(r.conf.ids), r.lead)
	}
	for i := range r.leader.peers {
		p := &r.leader.peers[i]
		if p.Match >= p.Next || p.Match > r.log.last.index || (i != r.leader.self && p.State != progress.Snapshot && p.Next > r.log.last.index+1) {
			h.failf("peer %d: %v, the log ends at %d", r.conf.ids[i], p, r.log.last.index)
		}
	}
}

// checkConf checks that the node goes by the last configuration in its log, and saves
// none that is not committed (dissertation §4.1).
func (f *fuzzRun) checkConf() {
	h, r := f.h, f.h.rn.raft
	first, err := r.log.firstIndex()
	if err != nil {
		return
	}
	base := r.conf.atOrOldest(first - 1)
	cfg := base.cfg
	for i := max(base.index, base.from, first-1) + 1; i <= r.log.last.index; i++ {
		ents, err := r.log.slice(i, i+1, noLimit)
		if err != nil || len(ents) != 1 {
			h.failf("entry %d of a log up to %d: %d, %v", i, r.log.last.index, len(ents), err)
		}
		if !isConfEntry(ents[0].Type) {
			continue
		}
		cc, err := pb.UnmarshalConfChange(ents[0])
		if err != nil {
			h.failf("entry %d: %v", i, err)
		}
		cfg = r.changed(cfg, cc.AsV2(), i)
	}
	if !cfg.Equal(r.conf.cfg) {
		h.failf("goes by %v, the last in the log is %v", r.conf.cfg, cfg)
	}
	if cs := r.confState(); cs.Index > max(r.log.committed, base.index) {
		h.failf("saves the configuration of entry %d, committed is %d", cs.Index, r.log.committed)
	}
}

// fuzzSeeds are runs that get somewhere.
func fuzzSeeds() [][]byte {
	elected := []byte{opCampaign, opRound, 0, opRound, 0, opRound, 0}
	lead := func(more ...byte) []byte { return append(append([]byte{0}, elected...), more...) }
	return [][]byte{
		lead(opPropose, 9, opRead, opTick, 1, opRound, 0, opRound, 0),
		lead(opConf, 0, 4, opRound, 0, opRound, 0, opPropose, 1, opRound, 16),
		lead(opConf, 1, 1, opRound, 0, opRound, 0, opTick, 1, opRound, 0, opTick, 9),
		lead(opConf, 1, 1, opRound, 0, opTick, 1, opTick, 9),
		lead(opJoint, 0x2c, opRound, 0, opRound, 0, opRestart, 0, opTick, 9),
		lead(opTarget, 0x16, 0x20, opRound, 0, opRound, 0, opRound, 0, opTick, 1, opRound, 0, opTick, 1, opRound, 0, opRound, 0, opRound, 0),
		lead(opTarget, 0x0c, 0, opRound, 0, opTick, 1, opRound, 0, opTarget, 0, 0, opRound, 0, opRestart, 0, opTick, 9),
		lead(opTransfer, 2, opRound, 0, opRestart, 0, opTick, 15, opTick, 15),
		lead(opPropose, 50, opRound, 12, opPropose, 50, opRound, 8, opCompact, 4, opTick, 3, opRound, 0, opReport, 0x34, opRound, 0),
		{1, opCampaign, opReady, opAgree, 0, opAgree, 1, opPersist, opRestart, 0, opSettle},
		{4, opAppend, 0, 1, 5, opReady, opAppend, 3, 1, 0x45, opReady, opPersist, opAck, 0, opPersist, opAck, 0, opApply, opApply},
		{0, opAppend, 0, 1, 5, opSettle, opSnapshot, 0x15, opReady, opSnapshot, 0x15, opReady, opPersist, opPersist, opAck, 3, opApply, opApply},
		{8, opHeartbeat, 0x10, opAppend, 0, 0, 0x15, opRestart, 1, opSettle, opCompact, 4, opRestart, 0, opCampaign},
		{1, opStep, 3, 2, 1, 9, 9, 9, 0xff, opStep, 6, 3, 2, 40, 40, 7, 3, opToken, 1, opToken, 2, opForget},
	}
}
