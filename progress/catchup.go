package progress

import "fmt"

// CatchUp measures whether a server that is to vote has the log, in rounds
// (dissertation §4.2.1). In each round the leader replicates what its log held
// when the round began. Rounds get shorter as the server gets closer, and after
// one that was shorter than an election timeout the server can vote: the group
// would wait no longer for it than for an election.
//
// Who measures is the leader; another one begins anew. Time is in its ticks.
type CatchUp struct {
	// Round is the number of the round, from 1. Rounds after CaughtUp, which only
	// watch that the server keeps up, count if they are too long.
	Round int
	// Target is the index that the server must hold for the round to end.
	Target uint64
	// Ticks is how long the round has lasted; LastTicks how long the one before
	// it did, 0 if there was none.
	Ticks, LastTicks int
	// Idle is for how many ticks the server has not got further while the leader was in
	// touch with the group.
	Idle int
	// CaughtUp says that the last round to end was shorter than an election timeout, and
	// that the one since is, too.
	CaughtUp bool

	match, answered uint64 // as of the last tick
	since           uint64 // the leader's last round of heartbeats before the first round
	installing      bool   // the host said that a snapshot got there; the server does not yet
}

// CatchUpLimits are what a server is measured by.
type CatchUpLimits struct {
	// ElectionTick is the election timeout, in ticks: how short a round has to be,
	// and how long the server may be idle.
	ElectionTick int
	// MaxRounds is how many rounds may be as long as that or longer.
	MaxRounds int
	// MaxTicks is how long a single round may be, in ticks.
	MaxTicks int
}

// CatchUpResult is how a server does.
type CatchUpResult uint8

const (
	// CatchingUp: it is on its way.
	CatchingUp CatchUpResult = iota
	// CaughtUp: it can vote.
	CaughtUp
	// TooSlow: it had as many rounds as it gets, or a round was longer than any may be.
	TooSlow
	// NoAnswer: it did not get further for an election timeout.
	NoAnswer
)

// BeginCatchUp begins to measure. last is the end of the leader's log, beat the
// last round of heartbeats that it sent. The caller sends another.
func (p *Progress) BeginCatchUp(last, beat uint64) {
	p.CatchUp = &CatchUp{Round: 1, Target: last, match: p.Match, answered: p.AckedRound, since: beat}
}

// TickCatchUp advances the measurement, which was begun, by a tick. inTouch is by how
// many ticks the time has advanced of which the leader knows that it was in touch with
// the group: while it is not, a server's silence says nothing about the server.
//
// A server gets further when it acknowledges entries. While it needs none, and while
// it waits for a snapshot or installs it, for which it acknowledges nothing, it is enough
// that it answers heartbeats.
func (p *Progress) TickCatchUp(last uint64, inTouch int, limits CatchUpLimits) CatchUpResult {
	c := p.CatchUp
	c.Ticks++
	c.Idle += inTouch
	if p.Match > c.match {
		c.Idle, c.installing = 0, false
	}
	needsNone := p.Match >= c.Target || p.State == Snapshot || p.NeedsSnapshot || c.installing
	if p.AckedRound > c.answered && needsNone {
		c.Idle = 0
	}
	c.match, c.answered = p.Match, p.AckedRound
	// Of a server that holds everything at the start only an answer says that it is
	// still there.
	if p.Match >= c.Target && p.AckedRound > c.since {
		c.end(last, limits.ElectionTick)
	}
	if c.Ticks >= limits.ElectionTick {
		c.CaughtUp = false // it has fallen behind since
	}
	switch {
	case c.Round > limits.MaxRounds, c.Ticks >= limits.MaxTicks:
		return TooSlow
	case c.Idle >= limits.ElectionTick:
		return NoAnswer
	case c.CaughtUp:
		return CaughtUp
	default:
		return CatchingUp
	}
}

// end ends a round and begins the next.
func (c *CatchUp) end(last uint64, electionTick int) {
	c.CaughtUp = c.Ticks < electionTick
	if !c.CaughtUp {
		c.Round++
	}
	c.LastTicks, c.Ticks = c.Ticks, 0
	c.Target = last
}

// String prints it as in "round 2 to 90, 3 ticks, last 12", where 90 is the target.
func (c CatchUp) String() string {
	s := fmt.Sprintf("round %d to %d, %d ticks", c.Round, c.Target, c.Ticks)
	if c.LastTicks > 0 {
		s += fmt.Sprintf(", last %d", c.LastTicks)
	}
	if c.CaughtUp {
		s += ", caught up"
	}
	return s
}
