package replica

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
)

// The word of others makes sure if they could have removed the member without it: a
// majority of the voters, of both halves of a joint configuration; where all others are
// fewer, all of them. Learners could not have.
func TestWhoseWordIsEnough(t *testing.T) {
	three, four := []uint64{1, 2, 3}, []uint64{1, 2, 3, 4}
	joint := pb.ConfState{Voters: four, VotersOutgoing: []uint64{1, 5, 6}}
	for _, tt := range []struct {
		conf  pb.ConfState
		by    []uint64
		words int
		want  bool
	}{
		{pb.ConfState{Voters: three}, []uint64{2}, 0, false},
		{pb.ConfState{Voters: three}, []uint64{2, 3}, 0, true},
		{pb.ConfState{Voters: three}, []uint64{2}, 1, true},
		{pb.ConfState{Voters: three}, []uint64{2, 3}, 3, false},
		{pb.ConfState{Voters: three, Learners: []uint64{7, 8}}, []uint64{2, 7, 8}, 0, false},
		{pb.ConfState{Voters: four}, []uint64{2, 4}, 0, false},
		{pb.ConfState{Voters: four}, []uint64{2, 3, 4}, 0, true},
		{pb.ConfState{Voters: []uint64{1, 2}}, []uint64{2}, 0, true},
		{pb.ConfState{Voters: []uint64{1}, Learners: []uint64{2}}, []uint64{2}, 0, false},
		{joint, []uint64{2, 3, 4}, 0, false},
		{joint, []uint64{2, 5, 6}, 0, false},
		{joint, []uint64{2, 3, 4, 5, 6}, 0, true},
	} {
		cfg, err := confchange.Restore(tt.conf)
		require.NoError(t, err)
		require.Equal(t, tt.want, enough(&cfg, 1, tt.by, tt.words), "%+v", tt)
	}
}
