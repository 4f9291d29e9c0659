package confchange

import "fmt"

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
//   - contexts are of members, ascending by ID, and not empty.
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
	return c.checkContexts()
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
