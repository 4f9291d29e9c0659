package rafttest_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// commands are what a script can say. Each prints its facts; what it returns is shown as the node's answer. With
// 'quiet' only changes of role and configuration, reads and errors show.
var commands = map[string]func(t *transcript, a *args) error{
	// The group: nodes are named by their IDs, settings as config says.
	"add-nodes": addNodes,
	"crash":     crash,
	"restart":   restart,
	"disk":      setDisk, // ID stalled|works|fails|no-snapshot|has-snapshot
	"snapshot":  takeSnapshot,

	// What a host asks of a node.
	"bootstrap": func(t *transcript, a *args) error {
		h := a.node(t)
		var peers []raft.Peer
		for _, id := range a.numbers("peers") {
			peers = append(peers, raft.Peer{ID: id})
		}
		return h.Bootstrap(peers)
	},
	"tick": func(t *transcript, a *args) error {
		n := a.int("n", 1)
		for _, id := range a.parse(a.words()) {
			for range n {
				t.host(id).Tick()
			}
		}
		return nil
	},
	"campaign":            func(t *transcript, a *args) error { return a.node(t).Campaign() },
	"propose":             propose,
	"propose-conf-change": proposeConfChange,
	"propose-membership":  proposeMembership,
	"cancel-membership":   func(t *transcript, a *args) error { return a.node(t).CancelMembership(a.number("version", 0)) },
	"read-index":          func(t *transcript, a *args) error { return a.node(t).ReadIndex([]byte(a.word())) },
	"lease-read":          leaseRead,
	"transfer-leader":     func(t *transcript, a *args) error { return a.node(t).TransferLeader(a.number("to", 0)) },
	"abort-transfer":      func(t *transcript, a *args) error { return a.node(t).AbortTransfer() },
	"wake":                func(t *transcript, a *args) error { a.node(t).Wake(); return nil },
	"deadline":            deadline,
	"forget-leader":       func(t *transcript, a *args) error { return a.node(t).ForgetLeader() },
	"report-unreachable":  func(t *transcript, a *args) error { return a.node(t).ReportUnreachable(a.id()) },
	"report-snapshot":     reportSnapshot,
	"step":                step, // messages follow, one a line

	// The steps of a host.
	"ready":      takeReady,
	"persist":    persistReady,
	"ack-append": ackAppend,
	"apply":      applyReady,
	"ack-apply":  ackApply,
	"finish":     func(t *transcript, a *args) error { return t.finish(a.node(t)) }, // all of these
	"stabilize":  func(t *transcript, a *args) error { return t.stabilize(a.parse(a.words())) },
	"run":        runTicks, // all tick n times and stabilize after each

	// The network.
	"network":   showNetwork,
	"deliver":   func(t *transcript, a *args) error { return deliver(t, a, true, false) },
	"drop":      func(t *transcript, a *args) error { return deliver(t, a, false, false) },
	"duplicate": func(t *transcript, a *args) error { return deliver(t, a, true, true) },
	"hold": func(t *transcript, a *args) error {
		t.holds = append(t.holds, a.filter())
		return nil
	},
	"release": func(t *transcript, a *args) error {
		t.network = append(t.network, t.held...)
		t.held, t.holds = nil, nil
		return nil
	},
	"cut": func(t *transcript, a *args) error {
		t.cut = a.parse(a.words())
		return nil
	},
	"heal": func(t *transcript, a *args) error {
		t.cut = nil
		return nil
	},

	// What a node shows.
	"status":   status,
	"raft-log": raftLog,
	"explain":  explain,
}

// propose proposes the words, or 'n' entries of 'size' bytes.
func propose(t *transcript, a *args) error {
	h := a.node(t)
	n, size := a.int("n", 1), a.int("size", 0)
	datas := a.words()
	if len(datas) == 0 {
		datas = slices.Repeat([]string{strings.Repeat("x", size)}, n)
	}
	for _, data := range datas {
		if err := h.Propose([]byte(data)); err != nil {
			return err
		}
	}
	return nil
}

// proposeMembership takes v and l with an ID as voters and learners.
func proposeMembership(t *transcript, a *args) error {
	h := a.node(t)
	m := pb.Membership{Force: a.flag("force")}
	if expected, set := a.values("expected"); set {
		m.Expected = new(a.parse(expected)[0])
	}
	for _, word := range a.words() {
		id, err := number(word[1:])
		require.NoError(a.t, err, a.d.Pos)
		switch word[0] {
		case 'v':
			m.Voters = append(m.Voters, pb.Member{ID: id})
		case 'l':
			m.Learners = append(m.Learners, pb.Member{ID: id})
		default:
			a.fail("member %q", word)
		}
	}
	return h.ProposeMembership(m)
}

func proposeConfChange(t *transcript, a *args) error {
	h := a.node(t)
	v1 := a.number("format", 2) == 1
	if a.flag("leave") {
		return h.ProposeConfChange(pb.ConfChangeV2{})
	}
	var cc pb.ConfChangeV2
	switch how := a.value("transition"); how {
	case "", "auto":
	case "implicit":
		cc.Transition = pb.ConfChangeTransitionJointImplicit
	case "explicit":
		cc.Transition = pb.ConfChangeTransitionJointExplicit
	default:
		a.fail("transition %q", how)
	}
	var err error
	if cc.Changes, err = pb.ConfChangesFromString(strings.Join(a.words(), " ")); err != nil {
		return err
	}
	if v1 {
		return h.ProposeConfChange(pb.ConfChange{Type: cc.Changes[0].Type, NodeID: cc.Changes[0].NodeID})
	}
	return h.ProposeConfChange(cc)
}

func leaseRead(t *transcript, a *args) error {
	index, err := a.node(t).LeaseRead()
	if err == nil {
		t.print("read at %d", index)
	}
	return err
}

func deadline(t *transcript, a *args) error {
	if ticks, ok := a.node(t).NextDeadline(); ok {
		t.print("in %d ticks", ticks)
	} else {
		t.print("none")
	}
	return nil
}

func reportSnapshot(t *transcript, a *args) error {
	h, peer := a.node(t), a.id()
	outcome := raft.SnapshotFinish
	if a.flag("failed") {
		outcome = raft.SnapshotFailure
	}
	return h.ReportSnapshot(peer, outcome)
}

func step(t *transcript, a *args) error {
	h := a.node(t)
	for _, line := range strings.Split(strings.TrimSpace(a.d.Input), "\n") {
		m, err := parseMessage(line)
		if err != nil {
			a.fail("%v", err)
		}
		if err := h.Step(m); err != nil {
			t.print("%s", describeError(err))
		} else {
			t.print("ok")
		}
	}
	return nil
}

func takeReady(t *transcript, a *args) error {
	h := a.node(t)
	if !h.HasReady() {
		t.print("%d: nothing", h.id)
		return h.Err()
	}
	t.ready(h)
	return nil
}

// pick returns the oldest Ready of this life for which pending is true.
func pick(a *args, h *host, pending func(*handed) bool) *handed {
	one := h.next(pending)
	if one == nil {
		a.fail("there is no such Ready")
	}
	return one
}

func persistReady(t *transcript, a *args) error {
	h := a.node(t)
	// The oldest: writes are done in order.
	return t.persist(h, pick(a, h, func(one *handed) bool { return !one.persisted }))
}

// ackAppend acknowledges the oldest Ready that is persisted, or the one that 'ready' names, of whatever life.
func ackAppend(t *transcript, a *args) error {
	h := a.node(t)
	var one *handed
	if n := a.int("ready", 0); n > 0 {
		one = h.handed[n-1]
	} else {
		one = pick(a, h, func(one *handed) bool { return one.persisted && !one.ackedAppend })
	}
	if err := h.AckAppend(one.rd.AppendToken()); err != nil {
		return err
	}
	for _, before := range h.handed {
		if before.life == one.life && before.number <= one.number {
			before.ackedAppend = true
		}
	}
	return nil
}

func applyReady(t *transcript, a *args) error {
	h := a.node(t)
	one := pick(a, h, func(one *handed) bool { return !one.isApplied && one.rd.AppliedIndex() != 0 })
	return t.apply(h, one)
}

func ackApply(t *transcript, a *args) error {
	h := a.node(t)
	return h.AckApply(a.number("index", h.applied))
}

func runTicks(t *transcript, a *args) error {
	ids := a.numbers("only")
	for range a.int("n", 1) {
		for _, h := range t.nodes {
			if !h.crash && (len(ids) == 0 || slices.Contains(ids, h.id)) {
				h.Tick()
			}
		}
		if err := t.stabilize(nil); err != nil {
			return err
		}
	}
	return nil
}

func showNetwork(t *transcript, a *args) error {
	f := a.filter()
	for _, m := range t.network {
		if f.picks(m) {
			t.print("%s", describeMessage(m))
		}
	}
	for _, m := range t.held {
		if f.picks(m) {
			t.print("%s (held)", describeMessage(m))
		}
	}
	return nil
}

// deliver delivers or drops the messages that are picked; 'nth' takes only one of them, counted from 1. A
// duplicated one stays on its way too.
func deliver(t *transcript, a *args, arrive, keep bool) error {
	f, nth, seen := a.filter(), a.int("nth", 0), 0
	msgs := t.take(func(m pb.Message) bool {
		if !f.picks(m) {
			return false
		}
		seen++
		return nth == 0 || seen == nth
	})
	if len(msgs) == 0 {
		a.fail("there is no such message")
	}
	for _, m := range msgs {
		if !arrive {
			t.print("%s (lost)", describeMessage(m))
			continue
		}
		t.deliver(m, !t.quiet)
		if keep {
			t.network = append(t.network, m)
		}
	}
	return nil
}

func status(t *transcript, a *args) error {
	ids := a.parse(a.words())
	for _, h := range t.nodes {
		if h.crash || (len(ids) > 0 && !slices.Contains(ids, h.id)) {
			continue
		}
		s := h.Status()
		line := fmt.Sprintf("%d: %s term=%d vote=%d commit=%d applied=%d durable=%d last=%d",
			h.id, describeSoftState(s.SoftState), s.Term, s.Vote, s.Commit, s.Applied, s.Durable, s.LastIndex)
		if s.LeadTransferee != 0 {
			line += fmt.Sprintf(" transferee=%d", s.LeadTransferee)
		}
		if s.LastStepDown != raft.StepDownNone {
			line += fmt.Sprintf(" stepped-down=%q", s.LastStepDown.String())
		}
		if s.PendingConfIndex != 0 {
			line += fmt.Sprintf(" pending-conf=%d", s.PendingConfIndex)
		}
		if s.LeaseTicks != 0 {
			line += " lease=" + strconv.Itoa(s.LeaseTicks)
		}
		if s.UncommittedBytes != 0 {
			line += fmt.Sprintf(" uncommitted=%d", s.UncommittedBytes)
		}
		t.print("%s", line)
		for _, m := range h.Status().Config.IDs() {
			if p, ok := s.Progress[m]; ok && m != h.id {
				t.print("  %d: %s", m, p.String())
			}
		}
	}
	return nil
}

// raftLog shows what is on disk after the snapshot.
func raftLog(t *transcript, a *args) error {
	h := t.host(a.id())
	first, err := h.disk.FirstIndex()
	if err != nil {
		return err
	}
	last, err := h.disk.LastIndex()
	if err != nil {
		return err
	}
	if last < first {
		t.print("%d: empty after %d", h.id, last)
		return nil
	}
	ents, err := h.disk.MemoryStorage.Entries(first, last+1, 1<<40)
	if err != nil {
		return err
	}
	t.print("%d: %s", h.id, describeEntries(ents))
	return nil
}

func explain(t *transcript, a *args) error {
	h := a.node(t)
	all := h.Explain()
	for _, e := range all {
		t.reasons[e.Reason] = true
		t.print("%v: %v", e.Reason, e)
	}
	if len(all) == 0 {
		t.print("nothing waits")
	}
	return nil
}
