// Package progress holds what a leader knows about each of its peers: how far
// the peer's log matches, what to send it next, and how much is in flight
// (Raft figure 2: nextIndex and matchIndex; dissertation §10.2.2).
//
// A Progress decides with Plan, which changes nothing, and moves with one
// method for each thing that can happen (Sent, Acked, Rejected, ...). It sends
// nothing itself. Nothing here is safe for concurrent use.
package progress

import "fmt"

// State says how a leader replicates to a peer.
type State uint8

const (
	// Probe: the leader does not know where the logs agree. It sends one
	// append and waits for the answer, or for a heartbeat's, before the next.
	Probe State = iota
	// Replicate: the logs agree up to Match. The leader streams entries
	// ahead of acknowledgements, bounded by the window.
	Replicate
	// Snapshot: the peer needs entries that the leader no longer has. A
	// snapshot is under way and no entries are sent until it is reported,
	// acknowledged or expires. Now and then the peer is asked whether it has it.
	Snapshot
)

var stateNames = [...]string{"Probe", "Replicate", "Snapshot"}

// String returns the state's name.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Send is what Plan says should go to a peer next.
type Send uint8

const (
	// SendNothing: the peer is up to date, or paused.
	SendNothing Send = iota
	// SendEntries: an append from Next on.
	SendEntries
	// SendProbe: an append without entries at ProbeIndex that must be answered.
	SendProbe
	// SendCommit: an append without entries at Match that only carries the
	// commit index and needs no answer.
	SendCommit
)

// Progress is the leader's view of one peer.
//
// Invariant: Match < Next. Match never goes back while the leader leads.
type Progress struct {
	// Match is the highest index known to be durable in the peer's log and
	// equal to the leader's.
	Match uint64
	// Next is the index of the first entry of the next append.
	Next uint64
	// SentCommit is the highest commit index the peer was told of, as far as
	// messages arrive; heartbeats repeat it.
	SentCommit uint64
	// PendingSnapshot is the index of the snapshot under way in state
	// Snapshot, else 0.
	PendingSnapshot uint64
	// SnapshotTicks counts ticks since that snapshot was handed out.
	SnapshotTicks int
	// State says how the leader replicates to the peer.
	State State
	// Active says that the peer was heard from since the last quorum check
	// (dissertation §6.2).
	Active bool
	// Waiting is set in state Probe from an append until its answer or that
	// of a heartbeat.
	Waiting bool
	// ProbeDue asks for an append that must be answered, with or without
	// entries. In state Snapshot it asks whether the snapshot arrived.
	ProbeDue bool
	// NeedsSnapshot says that the peer needs a snapshot that the storage could
	// not give when last asked.
	NeedsSnapshot bool
	// EchoesRound says that the peer's last answer to a heartbeat had its round
	// number, so that it needs no copy of it in the message's context.
	EchoesRound bool
	// Asleep says that the peer's last answer said that it sleeps, as the leader asks it to.
	Asleep bool
	// Session is what the peer's answers echo, so that those of a former life,
	// before it was removed and added again, are told apart.
	Session uint64
	// AckedRound is the highest heartbeat round of this leader that the peer
	// answered; Since is the last one of before the peer was there to answer.
	AckedRound, Since uint64
	// LeaseTicks is for how many ticks the peer promised to refuse votes
	// after it hears from its leader; 0 means that it promised nothing.
	LeaseTicks uint64
	// Window bounds what is in flight in state Replicate.
	Window Window
	// CatchUp measures a learner that a membership target makes a voter; else nil.
	CatchUp *CatchUp
}

// Paused reports whether entries for the peer have to wait.
func (p Progress) Paused() bool {
	switch p.State {
	case Probe:
		return p.Waiting
	case Replicate:
		return p.Window.Full()
	default:
		return true
	}
}

// Plan says what to send next to a peer of a leader whose log ends at last and
// whose commit index is commit. It changes nothing; after the message the
// caller calls the method that records it, and Plan answers anew.
func (p *Progress) Plan(last, commit uint64) Send {
	switch p.State {
	case Probe:
		if p.Waiting || (p.Next > last && !p.ProbeDue) {
			return SendNothing
		}
		return SendEntries
	case Replicate:
		if p.Next <= last && !p.Window.Full() {
			return SendEntries
		}
		if p.ProbeDue {
			return SendProbe
		}
		// Only what the peer surely holds may be told without asking for an
		// answer: prev = Match.
		if p.SentCommit < min(p.Match, commit) {
			return SendCommit
		}
	case Snapshot:
		if p.ProbeDue {
			return SendProbe
		}
	}
	return SendNothing
}

// ProbeIndex is the entry that a probe asks the peer about: the last one before
// Next, or that of the snapshot under way.
func (p *Progress) ProbeIndex() uint64 {
	if p.State == Snapshot {
		return p.PendingSnapshot
	}
	return p.Next - 1
}

// AskForSnapshot makes a probe due that asks whether the snapshot under way has
// arrived: its acknowledgement may be lost.
func (p *Progress) AskForSnapshot() {
	if p.State == Snapshot {
		p.ProbeDue = true
	}
}

// SentEntries records an append of the entries [Next, last] of the given size
// in bytes that carried commit. last = ProbeIndex means that it had no entries.
func (p *Progress) SentEntries(last, bytes, commit uint64) {
	p.ProbeDue = false
	switch p.State {
	case Probe:
		p.Waiting = true
	case Replicate:
		if last >= p.Next {
			p.Next = last + 1
			p.Window.Add(last, bytes)
		}
		p.SentCommit = max(p.SentCommit, min(commit, p.Next-1))
	case Snapshot:
		if last != p.PendingSnapshot {
			panic(fmt.Sprintf("progress: entries up to %d sent while a snapshot at %d is under way", last, p.PendingSnapshot))
		}
	}
}

// Acked records that the peer's log is durable up to index and equals the
// leader's there. first is the first index that the leader can still send. It
// reports whether Match advanced.
func (p *Progress) Acked(index, first uint64) bool {
	advanced := index > p.Match
	if advanced {
		p.Match = index
		p.Next = max(p.Next, index+1)
	}
	switch p.State {
	case Probe:
		// An answer to the probe, and no old one, says where the logs agree.
		if index+1 >= p.Next {
			p.toReplicate()
		}
	case Replicate:
		p.Window.FreeTo(index)
	case Snapshot:
		// The snapshot arrived, or the peer got the entries some other way.
		if p.Match >= p.PendingSnapshot || p.Match+1 >= first {
			p.ToProbe()
			p.toReplicate()
		}
	}
	return advanced
}

// Rejected records that the peer refused an append whose previous entry was at
// index rejected, and that the logs may agree at hint at the latest. It
// reports whether the rejection was news; an old one moves nothing.
func (p *Progress) Rejected(rejected, hint uint64) bool {
	switch p.State {
	case Replicate:
		if rejected <= p.Match {
			return false
		}
		p.ToProbe()
		return true
	case Probe:
		// Only the one append that is under way can be refused. If it was at
		// Match the peer lost what it had acknowledged, and to ask again at
		// once would go on for ever: the next heartbeat's answer does.
		if rejected+1 != p.Next || rejected <= p.Match {
			return false
		}
		p.Next = max(min(rejected, hint+1), p.Match+1)
		p.Waiting = false
		p.ProbeDue = true
		return true
	default:
		return false
	}
}

// Answered records a heartbeat's answer: the peer lives, so a lost append must
// not keep it waiting. last is the end of the leader's log.
func (p *Progress) Answered(last uint64) {
	p.Waiting = false
	if p.State == Probe || (p.State == Replicate && p.Match < last) {
		p.ProbeDue = true
	}
}

// Unreachable records that messages to the peer got lost: what was sent ahead
// has to be sent again.
func (p *Progress) Unreachable() {
	if p.State == Replicate {
		p.ToProbe()
	}
}

// SentSnapshot records that a snapshot at index is under way.
func (p *Progress) SentSnapshot(index uint64) {
	p.reset(Snapshot)
	p.PendingSnapshot = index
}

// SnapshotDone records the host's report on the snapshot under way. The next
// append waits for the peer's own answer or the next heartbeat's.
func (p *Progress) SnapshotDone(ok bool) {
	if p.State != Snapshot {
		return
	}
	if !ok {
		p.PendingSnapshot = 0
	}
	if p.CatchUp != nil {
		p.CatchUp.installing = ok
	}
	p.ToProbe()
	p.Waiting = true
}

// ToProbe starts probing after Match, or after the snapshot under way.
func (p *Progress) ToProbe() {
	pending := p.PendingSnapshot
	p.reset(Probe)
	p.Next = max(p.Match, pending) + 1
	p.ProbeDue = true
}

func (p *Progress) toReplicate() {
	p.reset(Replicate)
	p.Next = p.Match + 1
}

func (p *Progress) reset(s State) {
	p.State = s
	p.PendingSnapshot = 0
	p.SnapshotTicks = 0
	p.SentCommit = 0
	p.Waiting = false
	p.ProbeDue = false
	p.NeedsSnapshot = false
	p.Window.Reset()
}

// String prints the fields a reader of a log wants to see.
func (p Progress) String() string {
	s := fmt.Sprintf("%v match=%d next=%d", p.State, p.Match, p.Next)
	if p.Paused() {
		s += " paused"
	}
	if p.PendingSnapshot != 0 {
		s += fmt.Sprintf(" snapshot=%d", p.PendingSnapshot)
	}
	if !p.Active {
		s += " inactive"
	}
	if n := p.Window.Count(); n > 0 {
		s += fmt.Sprintf(" inflight=%d", n)
	}
	if p.CatchUp != nil {
		s += fmt.Sprintf(" catch-up: %v", p.CatchUp)
	}
	return s
}
