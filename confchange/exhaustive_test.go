package confchange

import (
	"errors"
	"maps"
	"math/rand"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/quorum"
	"github.com/quorate-raft/raft/raftpb"
)

type part int

const (
	voter part = 1 + iota
	learner
)

// parts is a configuration that is not joint: what each member is.
type parts map[uint64]part

func partsOf(c Config) parts {
	p := parts{}
	for _, id := range c.Learners {
		p[id] = learner
	}
	for _, id := range c.Voters[0] {
		p[id] = voter
	}
	return p
}

func (p parts) after(changes []raftpb.ConfChangeSingle) parts {
	p = maps.Clone(p)
	for _, change := range changes {
		switch {
		case change.NodeID == 0:
		case change.Type == raftpb.ConfChangeAddNode:
			p[change.NodeID] = voter
		case change.Type == raftpb.ConfChangeAddLearnerNode:
			p[change.NodeID] = learner
		case change.Type == raftpb.ConfChangeRemoveNode:
			delete(p, change.NodeID)
		}
	}
	return p
}

func (p parts) all(which part) []uint64 {
	var ids []uint64
	for _, id := range slices.Sorted(maps.Keys(p)) {
		if p[id] == which {
			ids = append(ids, id)
		}
	}
	return ids
}

// naiveApply says what cc means: the members are known before and after, and a
// joint configuration is both at once, in which who votes does not learn.
func naiveApply(c Config, cc raftpb.ConfChangeV2) (Config, error) {
	leave := cc.Transition == raftpb.ConfChangeTransitionAuto && len(cc.Changes) == 0
	switch {
	case leave && !c.Joint():
		return Config{}, ErrNotJoint
	case !leave && c.Joint():
		return Config{}, ErrAlreadyJoint
	case leave:
		p := partsOf(c)
		for _, id := range c.LearnersNext {
			p[id] = learner
		}
		return Config{Voters: quorum.JointConfig{p.all(voter)}, Learners: p.all(learner)}, nil
	}
	old := partsOf(c)
	target := old.after(cc.Changes)
	joint := cc.Transition != raftpb.ConfChangeTransitionAuto || len(cc.Changes) > 1
	if len(target.all(voter)) == 0 || joint && len(old.all(voter)) == 0 {
		return Config{}, ErrNoVoters
	}
	if !joint {
		return Config{Voters: quorum.JointConfig{target.all(voter)}, Learners: target.all(learner)}, nil
	}
	next := Config{
		Voters:    quorum.JointConfig{target.all(voter), old.all(voter)},
		AutoLeave: cc.Transition != raftpb.ConfChangeTransitionJointExplicit,
	}
	for _, id := range target.all(learner) {
		if old[id] == voter {
			next.LearnersNext = append(next.LearnersNext, id)
		} else {
			next.Learners = append(next.Learners, id)
		}
	}
	return next, nil
}

// naiveSound says whether the changes of a proposal make sense one by one, and
// have an effect or an update among them.
func naiveSound(c Config, changes []raftpb.ConfChangeSingle) bool {
	old := partsOf(c)
	seen := map[uint64]bool{0: true}
	update := false
	for _, change := range changes {
		needsMember := change.Type == raftpb.ConfChangeRemoveNode || change.Type == raftpb.ConfChangeUpdateNode
		if seen[change.NodeID] || needsMember && old[change.NodeID] == 0 {
			return false
		}
		seen[change.NodeID] = true
		update = update || change.Type == raftpb.ConfChangeUpdateNode
	}
	return update || !maps.Equal(old, old.after(changes))
}

var transitions = []raftpb.ConfChangeTransition{
	raftpb.ConfChangeTransitionAuto, raftpb.ConfChangeTransitionJointImplicit, raftpb.ConfChangeTransitionJointExplicit,
}

// A change does what its definition on sets says, and a proposal is valid
// exactly when it can be applied and makes sense (dissertation §4.1, §4.3): all
// configurations of three nodes, all lists of up to two changes of these, of a
// stranger and of node 0. A result is consistent, arguments stay as they were,
// and a quorum of the new configuration meets every quorum of the old one.
func TestApplyExhaustive(t *testing.T) {
	const nodes = 3
	lists := changeLists(nodes + 1)
	for _, c := range append(plainConfigs(nodes), jointConfigs(nodes)...) {
		argument := spacious(c)
		for _, list := range lists {
			for _, transition := range transitions {
				cc := raftpb.ConfChangeV2{Transition: transition, Changes: list}
				changesBefore := slices.Clone(list)

				got, err := Apply(argument, cc)
				want, wantErr := naiveApply(c, cc)
				if !errors.Is(err, wantErr) || !got.Equal(want) {
					t.Fatalf("%v by %v: got %v, %v; want %v, %v", c, cc, got, err, want, wantErr)
				}
				valid := Validate(argument, cc) == nil
				if wantValid := wantErr == nil && (c.Joint() || naiveSound(c, list)); valid != wantValid {
					t.Fatalf("%v by %v: valid %t, want %t", c, cc, valid, wantValid)
				}
				if !untouched(argument, c) || !slices.EqualFunc(list, changesBefore, raftpb.ConfChangeSingle.Equal) {
					t.Fatalf("%v by %v: arguments became %v, %v", c, cc, argument, list)
				}
				if err != nil {
					continue
				}
				if err := got.Check(); err != nil {
					t.Fatalf("%v by %v: %v", c, cc, err)
				}
				if len(c.Voters[0]) > 0 && disjointQuorums(c, got, nodes+1) {
					t.Fatalf("%v by %v: %v has a quorum without one of before", c, cc, got)
				}
			}
		}
	}
}

// Every majority of the old configuration overlaps with every majority of the
// new one after a simple change (§4.1, figure 4.3), and refusal is for having
// to change more than one voter alone: all configurations of four nodes, all
// lists of up to two changes.
func TestSimpleExhaustive(t *testing.T) {
	const nodes = 4
	lists := changeLists(nodes + 1)
	for _, c := range plainConfigs(nodes) {
		argument := spacious(c)
		old := partsOf(c)
		for _, list := range lists {
			got, err := Simple(argument, list...)
			target := old.after(list)
			changed := 0
			for id := range uint64(nodes + 2) {
				if (old[id] == voter) != (target[id] == voter) {
					changed++
				}
			}
			switch {
			case len(target.all(voter)) == 0:
				if !errors.Is(err, ErrNoVoters) {
					t.Fatalf("%v by %v: %v, want %v", c, list, err, ErrNoVoters)
				}
			case changed > 1:
				if !errors.Is(err, ErrNotSimple) {
					t.Fatalf("%v by %v: %v, want %v", c, list, err, ErrNotSimple)
				}
			case err != nil || !maps.Equal(partsOf(got), target) || got.Check() != nil || got.Joint():
				t.Fatalf("%v by %v: got %v, %v", c, list, got, err)
			case len(c.Voters[0]) > 0 && disjointQuorums(c, got, nodes+1):
				t.Fatalf("%v by %v: %v has a quorum without one of before", c, list, got)
			}
			if !untouched(argument, c) {
				t.Fatalf("%v by %v: argument became %v", c, list, argument)
			}
		}
	}
}

// Joint consensus goes from any configuration to any other (§4.3): entering and
// leaving reaches the target, there is no moment at which the old and the new
// can decide without each other, and a demoted voter votes to the end.
func TestJointExhaustive(t *testing.T) {
	const nodes = 4
	configs := plainConfigs(nodes)
	for _, from := range configs {
		for _, to := range configs {
			if len(from.Voters[0]) == 0 || len(to.Voters[0]) == 0 {
				continue
			}
			var list []raftpb.ConfChangeSingle
			target := partsOf(to)
			for id := range uint64(nodes + 1) {
				changeType := raftpb.ConfChangeRemoveNode
				switch target[id] {
				case voter:
					changeType = raftpb.ConfChangeAddNode
				case learner:
					changeType = raftpb.ConfChangeAddLearnerNode
				}
				list = append(list, raftpb.ConfChangeSingle{Type: changeType, NodeID: id})
			}
			argument := spacious(from)
			joint, err := EnterJoint(argument, true, list...)
			if err != nil || joint.Check() != nil || !joint.Joint() || !joint.AutoLeave || !untouched(argument, from) {
				t.Fatalf("from %v to %v: %v, %v", argument, to, joint, err)
			}
			for _, side := range []Config{from, to, joint} {
				if disjointQuorums(joint, side, nodes) {
					t.Fatalf("from %v to %v: a quorum of %v without one of %v", from, to, joint, side)
				}
			}
			for _, id := range from.Voters[0] {
				if !joint.IsVoter(id) || joint.IsLearner(id) {
					t.Fatalf("from %v to %v: voter %d does not vote in %v", from, to, id, joint)
				}
			}
			argument = spacious(joint)
			left, err := LeaveJoint(argument)
			if err != nil || !left.Equal(to) || !untouched(argument, joint) {
				t.Fatalf("from %v to %v by %v: %v, %v", from, to, joint, left, err)
			}
		}
	}
}

// A configuration that contradicts itself is refused as such by everything that
// would change it, and panics nowhere.
func TestInconsistentConfigs(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	set := func() []uint64 {
		ids := make([]uint64, rnd.Intn(4))
		for i := range ids {
			ids[i] = uint64(rnd.Intn(6))
		}
		return ids
	}
	lists := changeLists(5)
	for range 50000 {
		c := Config{
			Voters: quorum.JointConfig{set(), set()}, Learners: set(), LearnersNext: set(), AutoLeave: rnd.Intn(2) == 0,
		}
		cc := raftpb.ConfChangeV2{Transition: transitions[rnd.Intn(3)], Changes: lists[rnd.Intn(len(lists))]}
		_ = c.String()
		_ = c.IDs()
		got, err := Apply(c, cc)
		if c.Check() != nil {
			require.ErrorIs(t, err, ErrInvalidConfig)
			require.ErrorIs(t, Validate(c, cc), ErrInvalidConfig)
		} else if err == nil {
			require.NoError(t, got.Check())
		}
	}
}
