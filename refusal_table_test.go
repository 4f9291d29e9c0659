package raft

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// Every reason has one number, and the number leads back to it: a kind that the enum
// has and the table lacks would arrive as one that nobody knows.
func TestEveryRefusalHasANumber(t *testing.T) {
	found := map[pb.ProposalRefusal]bool{pb.RefusalUnknown: true}
	for i, row := range refusals {
		require.False(t, found[row.number], "%v twice", row.number)
		require.Contains(t, pb.ProposalRefusal_name, int32(row.number))
		found[row.number] = true
		err := row.reason
		if row.change {
			err = &ConfChangeError{Index: 7, Reason: fmt.Errorf("in other words: %w", row.reason)}
		}
		number, index := refusalNumber(err)
		require.Equal(t, row.number, number)
		require.Equal(t, row.change, index == 7)
		back := refusalError(uint64(number), index, "")
		require.ErrorIs(t, back, row.reason)
		require.ErrorIs(t, back, ErrProposalDropped)
		var change *ConfChangeError
		require.Equal(t, row.change, errors.As(back, &change))
		if row.change {
			require.EqualValues(t, 7, change.Index)
		}
		for j, other := range refusals {
			require.Equal(t, i == j, errors.Is(back, other.reason), "%v and %v", row.number, other.number)
		}
	}
	require.Len(t, found, len(pb.ProposalRefusal_name))
	for _, err := range []error{ErrProposalDropped, errors.New("another"), &ConfChangeError{Reason: errors.New("another")}} {
		number, _ := refusalNumber(err)
		require.Equal(t, pb.RefusalUnknown, number)
	}
	require.Equal(t, ErrProposalDropped.Error(), refusalError(0, 0, "").Error())
}

// A node whose storage failed says nothing any more, also not that it refuses.
func TestFailedNodeTellsNothing(t *testing.T) {
	rn := inRole(t, StateLeader)
	m := pb.Message{Type: pb.MsgProp, From: 2, To: 1, Entries: []pb.Entry{{}}, Features: pb.FeatureRefusals}
	require.Error(t, rn.raft.tellRefused(&m, &StorageError{"op", errors.New("disk")}))
	require.False(t, rn.HasReady())
	_ = rn.raft.fail(&StorageError{"op", errors.New("disk")})
	require.ErrorIs(t, rn.Step(m), ErrStorage)
	require.Empty(t, rn.raft.collecting().msgs)
}
