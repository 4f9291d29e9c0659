package raft

import (
	"fmt"

	"github.com/quorate-raft/raft/confchange"
	"github.com/quorate-raft/raft/quorum"
	pb "github.com/quorate-raft/raft/raftpb"
)

// MembershipCheck is what lies ahead of a group on its way to another membership, and
// what stands against it now.
type MembershipCheck struct {
	// Report has the steps, and how many voters decide and may fail before, during
	// and after them.
	confchange.Report
	// Version is the ConfState.Index of the configuration that was judged, to be
	// expected when the membership is proposed.
	Version uint64
	// Obstacles are what stands against it.
	Obstacles []Obstacle
	// Err is with what the proposal would be refused now; nil if it would be taken.
	Err error
}

// Obstacle is something that stands against a membership.
type Obstacle struct {
	Kind ObstacleKind
	// Node is whom it is about.
	Node uint64
	// Behind is how many entries the node's log lacks, for ObstacleBehind and
	// ObstacleNeedsSnapshot.
	Behind uint64
}

// ObstacleKind says what an Obstacle is.
type ObstacleKind uint8

const (
	// ObstacleUnreachable: a member that would stay was not heard from for an
	// election timeout.
	ObstacleUnreachable ObstacleKind = iota + 1
	// ObstacleBehind: a member that would vote lacks entries that it gets from the
	// log.
	ObstacleBehind
	// ObstacleNeedsSnapshot: a member that would vote lacks entries that the leader
	// does not have any more either.
	ObstacleNeedsSnapshot
	// ObstacleUnsupported: a member does not know of targets, or has not said yet
	// that it does.
	ObstacleUnsupported
	// ObstacleQuorum: too many of those who would vote were not heard from for the
	// rest to decide. The proposal is refused unless it is forced.
	ObstacleQuorum
)

var obstacles = [...]string{
	ObstacleUnreachable:   "was not heard from for an election timeout",
	ObstacleBehind:        "lacks entries",
	ObstacleNeedsSnapshot: "needs a snapshot",
	ObstacleUnsupported:   "does not know of membership targets, or has not said so yet",
	ObstacleQuorum:        "too many of the voters to be were not heard from for the rest to decide",
}

// String returns the obstacle as a sentence.
func (o Obstacle) String() string {
	if int(o.Kind) >= len(obstacles) || o.Kind == 0 {
		return fmt.Sprintf("ObstacleKind(%d)", o.Kind)
	}
	switch s := obstacles[o.Kind]; {
	case o.Node == None:
		return s
	case o.Behind > 0:
		return fmt.Sprintf("node %d %s (%d entries)", o.Node, s, o.Behind)
	default:
		return fmt.Sprintf("node %d %s", o.Node, s)
	}
}

// ProposeMembership asks the group to become m, by as many changes as it takes
// (dissertation §4): whoever leads adds who is missing as a learner, waits until the
// new voters have the log, changes the voters in one step, hands leadership over first
// if it is to go itself, and removes who is left over. That survives changes of leader
// and restarts. It ends with an outcome in the configuration (ConfState.LastOutcome),
// whose Version is the index of the entry that this proposal becomes. Unless it is
// forced, the voters change only while a majority of the new ones answer; see
// Config.MaxCatchUpRounds.
//
// A target that stands is superseded. A follower passes the proposal on, and a network
// that delivers messages late and more than once can set it anew, also after another: with
// Membership.Expected it cannot. A refusal is a ConfChangeError, whose reason may
// also be one of package confchange: ErrInvalidTarget, ErrUnexpectedVersion,
// ErrUnsupported, ErrWouldLoseQuorum. See CheckMembership.
func (rn *RawNode) ProposeMembership(m pb.Membership) error {
	if _, err := confchange.ValidateTarget(m.Target()); err != nil {
		return &ConfChangeError{Reason: err}
	}
	return rn.ProposeConfChange(m.Change())
}

// CancelMembership asks to give up the target of that version (ConfState.Target). The
// configuration stays as far as it has come, but for the servers that were added to vote
// and do not yet: they are removed. The reason of a refusal may be
// confchange.ErrStaleStep: the target does not stand.
func (rn *RawNode) CancelMembership(version uint64) error {
	return rn.ProposeConfChange(confchange.CancelChange(version))
}

// CheckMembership says, without proposing anything, what would happen on the way to m
// and what stands against it. It can only say so on the leader (ErrNotLeader), and of
// this moment. An error otherwise says that there is no way, as those of
// confchange.Preflight.
func (rn *RawNode) CheckMembership(m pb.Membership) (MembershipCheck, error) {
	r := rn.raft
	switch {
	case r.err != nil:
		return MembershipCheck{}, r.err
	case r.role != StateLeader:
		return MembershipCheck{}, ErrNotLeader
	}
	report, err := confchange.Preflight(r.conf.cfg, m.Target())
	if err != nil {
		return MembershipCheck{}, err
	}
	obstacles, err := r.obstacles(m)
	if err != nil {
		return MembershipCheck{}, r.fail(err)
	}
	kind, data, err := pb.MarshalConfChange(m.Change())
	if err != nil {
		return MembershipCheck{}, err
	}
	return MembershipCheck{
		Report: report, Version: r.conf.index, Obstacles: obstacles,
		Err: r.checkProposal([]pb.Entry{{Type: kind, Data: data}}),
	}, nil
}

func (r *raft) obstacles(m pb.Membership) ([]Obstacle, error) {
	first, err := r.log.firstIndex()
	if err != nil {
		return nil, err
	}
	var found []Obstacle
	target := m.Target()
	stays, votes := memberSet(target.Voters, target.Learners), memberSet(target.Voters)
	for i, id := range r.conf.ids {
		heard, behind := r.heard(i), r.log.last.index-r.leader.peers[i].Match
		if stays[id] && !heard {
			found = append(found, Obstacle{Kind: ObstacleUnreachable, Node: id})
		}
		if votes[id] && behind > 0 && i != r.leader.self {
			kind := ObstacleBehind
			if r.leader.peers[i].Match+1 < first {
				kind = ObstacleNeedsSnapshot
			}
			found = append(found, Obstacle{Kind: kind, Node: id, Behind: behind})
		}
		if !r.knowsTargets(id) && !r.mayIgnore(i, stays[id], m.Force) {
			found = append(found, Obstacle{Kind: ObstacleUnsupported, Node: id})
		}
	}
	if r.wouldLoseQuorum(target.Voters, r.heard) {
		found = append(found, Obstacle{Kind: ObstacleQuorum})
	}
	return found, nil
}

func memberSet(sets ...[]uint64) map[uint64]bool {
	set := make(map[uint64]bool)
	for _, ids := range sets {
		for _, id := range ids {
			set[id] = true
		}
	}
	return set
}

// checkTarget says why a target, sound in itself, is not to be set now.
func (r *raft) checkTarget(t *pb.MembershipTarget) error {
	stays := memberSet(t.Voters, t.Learners)
	for i, id := range r.conf.ids {
		if !r.knowsTargets(id) && !r.mayIgnore(i, stays[id], t.Force) {
			return fmt.Errorf("node %d: %w", id, confchange.ErrUnsupported)
		}
	}
	if !t.Force && r.wouldLoseQuorum(t.Voters, r.heard) {
		return fmt.Errorf("voters %v: %w", quorum.MajorityConfig(t.Voters), confchange.ErrWouldLoseQuorum)
	}
	return nil
}

// mayIgnore reports whether it does not matter that member i does not say that it knows
// of targets: it says nothing at all, and is on its way out. It must not keep the group
// from replacing it. (If it comes back as one that does not, it carries out each step
// like the others; as leader it would not go on with them, and a snapshot that it makes
// has no target.)
func (r *raft) mayIgnore(i int, stays, force bool) bool { return !r.heard(i) && (!stays || force) }

// wouldLoseQuorum reports whether those of voters that are members and not there are
// too many for the others to decide; there reports whether a member is. A server that
// is no member yet votes only once it has caught up, so it will be there.
func (r *raft) wouldLoseQuorum(voters []uint64, there func(i int) bool) bool {
	silent := 0
	for id := range memberSet(voters) {
		if i := r.conf.pos(id); i >= 0 && !there(i) {
			silent++
		}
	}
	n := len(memberSet(voters))
	return n-silent < quorum.Size(n)
}
