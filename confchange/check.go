package confchange

import (
	"fmt"
	"slices"

	"github.com/quorate-raft/raft/raftpb"
)

// Check returns nil if c is consistent, and otherwise an error that wraps
// [ErrInvalidConfig] and names the first fault found:
//
//   - IDs ascend without repetition in each set, and none is 0 (also wraps
//     [ErrInvalidNode]);
//   - there are voters in the incoming half, unless nothing is set at all (also
//     wraps [ErrNoVoters]);
//   - learners vote in neither half;
//   - LearnersNext vote in the outgoing half and not in the incoming one;
//   - without an outgoing half there is no LearnersNext and no AutoLeave;
//   - contexts are of members, ascending by ID, and not empty;
//   - the effect is a known one;
//   - a target has a version, is in the normal form of [ValidateTarget], and
//     stands only where there are voters;
//   - an outcome is of an earlier entry than the one that decided it, and that
//     is not later than the one that set the target, if one stands.
func (c Config) Check() error {
	in, out := c.Voters[0], c.Voters[1]
	for _, set := range []struct {
		name string
		ids  []uint64
	}{
		{"voters", in}, {"outgoing voters", out}, {"learners", c.Learners}, {"next learners", c.LearnersNext},
	} {
		if err := checkSet(set.name, set.ids); err != nil {
			return err
		}
	}

	if !c.Joint() && len(c.LearnersNext) > 0 {
		return fmt.Errorf("%w: next learners %v without outgoing voters", ErrInvalidConfig, c.LearnersNext)
	}
	if !c.Joint() && c.AutoLeave {
		return fmt.Errorf("%w: to be left automatically without outgoing voters", ErrInvalidConfig)
	}
	if len(in) == 0 && (c.Joint() || len(c.Learners) > 0) {
		return fmt.Errorf("%w: %w among members %v", ErrInvalidConfig, ErrNoVoters, c.IDs())
	}
	if id, both := common(c.Learners, in); both {
		return fmt.Errorf("%w: node %d is both learner and voter", ErrInvalidConfig, id)
	}
	if id, both := common(c.Learners, out); both {
		return fmt.Errorf("%w: node %d is both learner and outgoing voter", ErrInvalidConfig, id)
	}
	if id, both := common(c.LearnersNext, in); both {
		return fmt.Errorf("%w: node %d is both next learner and incoming voter", ErrInvalidConfig, id)
	}
	for _, id := range c.LearnersNext {
		if !out.Contains(id) {
			return fmt.Errorf("%w: next learner %d is not an outgoing voter", ErrInvalidConfig, id)
		}
	}
	if err := c.checkContexts(); err != nil {
		return err
	}
	return c.checkTarget()
}

func (c Config) checkTarget() error {
	if _, known := raftpb.ConfChangeEffect_name[int32(c.Effect)]; !known {
		return fmt.Errorf("%w: effect %d", ErrInvalidConfig, c.Effect)
	}
	if t := c.Target; t != nil {
		normal, err := ValidateTarget(*t)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", ErrInvalidConfig, err)
		case t.Version == 0:
			return fmt.Errorf("%w: target without a version", ErrInvalidConfig)
		case len(c.Voters[0]) == 0:
			return fmt.Errorf("%w: target at version %d and %w", ErrInvalidConfig, t.Version, ErrNoVoters)
		case !slices.Equal(normal.Voters, t.Voters) || !slices.Equal(normal.Learners, t.Learners) || !slices.Equal(normal.Added, t.Added) ||
			!slices.EqualFunc(normal.Members, t.Members, raftpb.Member.Equal):
			return fmt.Errorf("%w: target <%v> is not in order", ErrInvalidConfig, t)
		}
	}
	if o := c.Outcome; o != nil {
		if err := o.Validate(); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalidConfig, err)
		}
		if o.Index <= o.Version {
			return fmt.Errorf("%w: outcome by entry %d of the target that entry %d set", ErrInvalidConfig, o.Index, o.Version)
		}
		if c.Target != nil && c.Target.Version < o.Index {
			return fmt.Errorf("%w: target of entry %d stands before the outcome of entry %d", ErrInvalidConfig, c.Target.Version, o.Index)
		}
	}
	return nil
}

func (c Config) checkContexts() error {
	for i, m := range c.Contexts {
		switch {
		case i > 0 && c.Contexts[i-1].ID >= m.ID:
			return fmt.Errorf("%w: context of node %d after that of %d", ErrInvalidConfig, m.ID, c.Contexts[i-1].ID)
		case !c.Contains(m.ID):
			return fmt.Errorf("%w: context of node %d, which is not a member", ErrInvalidConfig, m.ID)
		case len(m.Context) == 0:
			return fmt.Errorf("%w: empty context of node %d", ErrInvalidConfig, m.ID)
		}
	}
	return nil
}

func checkSet(name string, ids []uint64) error {
	for i, id := range ids {
		if id == 0 {
			return fmt.Errorf("%w: %s %v: %w", ErrInvalidConfig, name, ids, ErrInvalidNode)
		}
		if i > 0 && ids[i-1] >= id {
			return fmt.Errorf("%w: %s %v: %d after %d", ErrInvalidConfig, name, ids, id, ids[i-1])
		}
	}
	return nil
}
