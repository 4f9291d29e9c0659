package raft_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

func TestSmoke(t *testing.T) {
	for _, n := range []int{1, 3, 5} {
		c := rafttest.NewCluster(n, 1)
		msgs := 0
		c.Observe = func(id uint64, rd raft.Ready) { msgs += len(rd.Messages) + len(rd.MessagesAfterAppend) }
		l := c.Elect(1)
		for i := range 10 {
			msgs = 0
			require.NoError(t, l.Propose([]byte(fmt.Sprint(i))))
			c.Settle()
			require.Equal(t, 3*(n-1), msgs)
		}
		for _, m := range c.Nodes() {
			require.Len(t, m.Applied, 11)
		}
		require.NoError(t, l.ReadIndex([]byte("x")))
		c.Settle()
		require.Len(t, l.Reads, 1)
		last := c.Nodes()[n-1]
		require.NoError(t, last.ReadIndex([]byte("y")))
		c.Settle()
		require.NotEmpty(t, last.Reads)
		if n == 1 {
			continue
		}
		require.NoError(t, l.TransferLeader(2))
		c.Settle()
		require.Equal(t, uint64(2), c.Leader().ID)
		l = c.Leader()
		require.NoError(t, l.ProposeConfChange(pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{{Type: pb.ConfChangeRemoveNode, NodeID: 2}, {Type: pb.ConfChangeAddNode, NodeID: 9}}}))
		c.Add(9)
		c.Settle()
		c.Tick(12)
		fmt.Println(c.Leader().Status().Config, c.Leader().ID, c.Node(2).BasicStatus(), c.Node(9).BasicStatus())
		c.Tick(30)
		require.NotNil(t, c.Leader())
	}
}
