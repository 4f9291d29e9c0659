package repair

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorate-raft/raft/quorum"
	pb "github.com/quorate-raft/raft/raftpb"
)

// View is a group as the replica beside a supervisor sees it.
type View struct {
	// ID is the replica's, Term its term. Leads says that it leads.
	ID, Term uint64
	Leads    bool
	// Config is the configuration, with its index.
	Config pb.ConfState
	// Changing says that a change of the configuration is in the log and not applied, or
	// leadership is being handed over.
	Changing bool
	// Silent is for how long the leader has not heard from each member.
	Silent map[uint64]time.Duration
	// ElectionTimeout is after how long without an answer a member counts as not heard
	// from.
	ElectionTimeout time.Duration

	// Rests has the spares that failed, and from when on they may be tried again. Not
	// before NotBefore is anything tried. Left are those who were voters and are no
	// members any more. The supervisor keeps all three.
	Rests     map[uint64]time.Time
	NotBefore time.Time
	Left      map[uint64]bool
}

// Kind says what a Decision is.
type Kind uint8

const (
	// NotLeading: the leader's supervisor acts, and this is another's.
	NotLeading Kind = iota + 1
	// Paused: it was told to do nothing.
	Paused
	// TargetStands: the group works towards a membership already.
	TargetStands
	// Changing: a change is under way, or leadership is being handed over.
	Changing
	// Healthy: all voters are heard from.
	Healthy
	// Waiting: a voter is silent, and not for long enough.
	Waiting
	// TooFew: fewer voters are heard from than have to be.
	TooFew
	// CoolingDown: the last attempt ended for a reason that was no spare's.
	CoolingDown
	// NoSpare: nobody can take the voter's place now.
	NoSpare
	// Replace: Spare is to take the place of Voter.
	Replace
	// Unknown: the group did not answer; see Decision.Err.
	Unknown
	// Unconfirmed: no quorum confirmed in time that this replica leads.
	Unconfirmed
)

var kinds = [...]string{
	"", "not leading", "paused", "target stands", "changing", "healthy", "waiting", "too few", "cooling down", "no spare",
	"replace", "unknown", "unconfirmed",
}

// String returns the kind in words.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Decision is what a supervisor does, or why it does nothing.
type Decision struct {
	Kind Kind
	// Voter is the one that is silent, for Silent. Spare takes its place.
	Voter, Spare uint64
	Silent       time.Duration
	// Heard is how many voters are heard from, Need how many have to be.
	Heard, Need int
	// Until is when the decision may become another one by itself; zero if that is not
	// known.
	Until time.Time
	// Version is that of the target that stands: that was set by it, for Replace.
	Version uint64
	// Err is why it came to nothing.
	Err error
}

// String returns the decision as a sentence for an operator.
func (d Decision) String() string {
	text := d.sentence()
	if !d.Until.IsZero() {
		text += " until " + d.Until.Format(time.RFC3339)
	}
	if d.Err != nil {
		text += fmt.Sprintf(": %v", d.Err)
	}
	return text
}

func (d Decision) sentence() string {
	silent := fmt.Sprintf("voter %d was not heard from for %v", d.Voter, d.Silent.Round(time.Millisecond))
	switch d.Kind {
	case NotLeading:
		return "another server leads"
	case Paused:
		return "paused"
	case TargetStands:
		return fmt.Sprintf("the group works towards the membership of log entry %d", d.Version)
	case Changing:
		return "a change of the membership, or of the leader, is under way"
	case Healthy:
		return "all voters are heard from"
	case Waiting:
		return silent + ": it is not replaced"
	case TooFew:
		return fmt.Sprintf("%s, but only %d voters are heard from, where %d have to be", silent, d.Heard, d.Need)
	case CoolingDown:
		return silent + ", but the last attempt was given up: nothing is tried"
	case NoSpare:
		return silent + ", and there is no spare that could take its place"
	case Replace:
		return fmt.Sprintf("%s: spare %d takes its place", silent, d.Spare)
	case Unknown:
		return "the state of the group is not known"
	case Unconfirmed:
		return silent + ", but no quorum has confirmed who leads"
	}
	return d.Kind.String()
}

// Decide says what to do about what v shows, within the limits of p, whose defaults it
// fills in. It has no memory and reads no clock.
func Decide(v View, p Policy, now time.Time) Decision {
	p = p.withDefaults()
	voters := v.Config.Voters
	switch {
	case !v.Leads, !slices.Contains(voters, v.ID):
		return Decision{Kind: NotLeading}
	case p.Paused:
		return Decision{Kind: Paused}
	case v.Config.Target != nil:
		return Decision{Kind: TargetStands, Version: v.Config.Target.Version}
	case v.Changing, len(v.Config.VotersOutgoing) > 0:
		return Decision{Kind: Changing}
	}
	d := Decision{Need: max(quorum.Size(len(voters)), p.MinVoters)}
	for _, id := range slices.Sorted(slices.Values(voters)) {
		if v.heard(id) {
			d.Heard++
		} else if silent := v.Silent[id]; d.Voter == 0 || silent > d.Silent {
			d.Voter, d.Silent = id, silent
		}
	}
	after := max(p.After, 2*v.ElectionTimeout)
	switch {
	case d.Voter == 0:
		d.Kind = Healthy
	case d.Silent < after:
		d.Kind, d.Until = Waiting, now.Add(after-d.Silent)
	case d.Heard < d.Need:
		d.Kind = TooFew
	case now.Before(v.NotBefore):
		d.Kind, d.Until = CoolingDown, v.NotBefore
	default:
		d.Kind = Replace
		if d.Spare, d.Until = v.spare(p, now); d.Spare == 0 {
			d.Kind = NoSpare
		}
	}
	return d
}

// heard reports whether a member counts as there. The leader is.
func (v *View) heard(id uint64) bool {
	silent, known := v.Silent[id]
	return id == v.ID || known && silent < v.ElectionTimeout
}

// spare returns who is to take a voter's place; or 0, and from when on somebody may.
func (v *View) spare(p Policy, now time.Time) (id uint64, until time.Time) {
	var candidates []uint64
	for _, s := range p.Spares {
		if !p.MembersOnly || slices.Contains(v.Config.Learners, s.ID) {
			candidates = append(candidates, s.ID)
		}
	}
	if p.Learners {
		candidates = append(candidates, slices.Sorted(slices.Values(v.Config.Learners))...)
	}
	for _, id := range candidates {
		rests := v.Rests[id]
		switch {
		case slices.Contains(v.Config.Voters, id):
		case slices.Contains(v.Config.Learners, id) && !v.heard(id):
		case v.Left[id]: // a voter that was removed may have forgotten its votes: its ID is not used again
		case now.Before(rests):
			if until.IsZero() || rests.Before(until) {
				until = rests
			}
		default:
			return id, time.Time{}
		}
	}
	return 0, until
}

// membership returns the one in which the spare of d has the place of the voter. It
// expects the configuration to be that of v.
func (v *View) membership(p Policy, d Decision) pb.Membership {
	m := pb.MembershipOf(v.Config)
	spare := pb.Member{ID: d.Spare}
	if i := slices.IndexFunc(m.Learners, func(l pb.Member) bool { return l.ID == d.Spare }); i >= 0 {
		spare = m.Learners[i]
		m.Learners = slices.Delete(m.Learners, i, i+1)
	} else if i := slices.IndexFunc(p.Spares, func(s pb.Member) bool { return s.ID == d.Spare }); i >= 0 {
		spare = p.Spares[i]
	}
	m.Voters = append(slices.DeleteFunc(m.Voters, func(o pb.Member) bool { return o.ID == d.Voter }), spare)
	version := v.Config.Index
	m.Expected = &version
	return m
}
