package confchange

import (
	"fmt"
	"math"
	"slices"

	"github.com/quorate-raft/raft/raftpb"
)

// Validate returns nil if cc may be proposed when c is the newest configuration
// in the log, and otherwise why not. Everything [Apply] refuses is refused,
// and further what a proposer cannot have meant:
//
//   - a node with ID 0 ([ErrInvalidNode]);
//   - a node named twice ([ErrDuplicateNode]), since only the last mention
//     would count;
//   - removing or updating a node that is not a member ([ErrUnknownNode]);
//   - a change after which everybody is what they were ([ErrNoChange]), unless
//     it updates a node, whose effect is elsewhere.
//
// From a joint configuration the only valid change of members is to leave it
// ([ErrAlreadyJoint]), and only from one ([ErrNotJoint]). While a target stands
// no other is valid either unless it is a step towards it ([ErrTargetStands]):
// two who change the members would undo each other's work.
//
// A target may be set and ended in any configuration that has voters, joint or
// not. It is the caller's to compare the version that the proposer expects, see
// [CheckExpected].
func Validate(c Config, cc raftpb.ConfChangeV2) error {
	if m := cc.Membership; m != nil && (m.Target != nil || m.Outcome != nil) {
		_, err := ApplyAt(c, cc, math.MaxUint64) // whichever index it gets, it is higher than those before
		return err
	}
	if c.Target != nil && cc.Membership == nil && !cc.LeaveJoint() {
		return fmt.Errorf("%q from %v: %w", raftpb.ConfChangesToString(cc.Changes), c, ErrTargetStands)
	}
	next, err := Apply(c, cc)
	if err != nil {
		return err
	}
	if err := checkChanges(c, cc.Changes); err != nil {
		return err
	}
	if next.Joint() {
		if next, err = LeaveJoint(next); err != nil {
			return err
		}
	}
	updates := slices.ContainsFunc(cc.Changes, func(change raftpb.ConfChangeSingle) bool {
		return change.Type == raftpb.ConfChangeUpdateNode
	})
	if !updates && next.Equal(c) {
		return fmt.Errorf("%q from %v: %w", raftpb.ConfChangesToString(cc.Changes), c, ErrNoChange)
	}
	return nil
}

// checkChanges judges the changes one by one. None names a node twice, so each
// meets its node as it is in c.
func checkChanges(c Config, changes []raftpb.ConfChangeSingle) error {
	ids := make([]uint64, 0, len(changes))
	for _, change := range changes {
		id := change.NodeID
		if id == 0 {
			return fmt.Errorf("%v: %w", change.Type, ErrInvalidNode)
		}
		mustExist := change.Type == raftpb.ConfChangeRemoveNode || change.Type == raftpb.ConfChangeUpdateNode
		if mustExist && !c.Contains(id) {
			return fmt.Errorf("%v of node %d in %v: %w", change.Type, id, c, ErrUnknownNode)
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for i := 1; i < len(ids); i++ {
		if ids[i] == ids[i-1] {
			return fmt.Errorf("node %d: %w", ids[i], ErrDuplicateNode)
		}
	}
	return nil
}
