package server

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/store"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/storage/pebblestore"
)

// survivor returns a directory of one of three servers, whose last two entries it does not
// know to be committed: a write, and a change of the membership.
func survivor(t *testing.T) (dir string, c *cluster) {
	c = three(t)
	_, err := c.client().Put(within(t), []byte("known"), []byte("1"))
	require.NoError(t, err)
	for id := range c.servers {
		c.stop(id)
	}
	dir = filepath.Join(c.dir, "server1")
	id, err := readIdentity(dir)
	require.NoError(t, err)
	engine, err := pebblestore.Open(filepath.Join(dir, id.Log), nil)
	require.NoError(t, err)
	defer engine.Close()
	log, err := engine.Group(group)
	require.NoError(t, err)
	last, err := log.LastIndex()
	require.NoError(t, err)
	term, err := log.Term(last)
	require.NoError(t, err)
	put, err := store.EncodePut(store.RequestID{}, []byte("unknown"), []byte("2"))
	require.NoError(t, err)
	remove, err := (&pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{{Type: pb.ConfChangeRemoveNode, NodeID: 1}}}).Marshal()
	require.NoError(t, err)
	require.NoError(t, log.Save(raft.Ready{MustSync: true, Entries: []pb.Entry{
		{Term: term, Index: last + 1, Type: pb.EntryConfChangeV2, Data: remove},
		{Term: term, Index: last + 2, Data: put},
	}}))
	return dir, c
}

// A survivor becomes the only member of a new cluster with all that its log holds, also what
// it did not know to be committed: somebody may have been told that it was. Changes of the
// old membership count no more. The old members are not let in.
func TestRecover(t *testing.T) {
	dir, c := survivor(t)
	before, err := readIdentity(dir)
	require.NoError(t, err)
	dry, err := Recover(RecoverConfig{Dir: dir, DryRun: true})
	require.NoError(t, err)
	after, err := readIdentity(dir)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Equal(t, uint64(1), dry.ID)
	require.ElementsMatch(t, []uint64{1, 2, 3}, dry.OldMembers)
	require.GreaterOrEqual(t, dry.Last, dry.Commit+2)

	config := c.config("server1")
	done, err := Recover(RecoverConfig{Dir: dir})
	require.NoError(t, err)
	require.NotEqual(t, done.OldCluster, done.Cluster)
	require.Equal(t, before.Cluster.String(), done.OldCluster)
	require.DirExists(t, done.OldLog)
	s := c.start(config)
	require.Equal(t, done.Cluster, s.Cluster())
	for key, value := range map[string]string{"known": "1", "unknown": "2"} {
		e, err := c.client().Get(within(t), []byte(key), api.Linearizable)
		require.NoError(t, err)
		require.Equal(t, value, string(e.Value))
	}
	require.Equal(t, []uint64{1}, s.voters(t))
	// And it is a cluster like any other, whose IDs go on where they were.
	joins := c.config("newcomer")
	joins.Join = []string{s.Addresses().Client}
	require.Equal(t, uint64(4), c.start(joins).ID())
	c.await(func(m *api.Membership) bool { return m.Find(4) != nil && m.Find(4).Role == api.RoleVoter })

	old := c.start(c.config("server2"))
	require.NotEqual(t, s.Cluster(), old.Cluster())
	require.Never(t, func() bool { leader, _ := old.replica.Leader(); return leader != raft.None }, 500*time.Millisecond, 20*time.Millisecond)
	require.Equal(t, []uint64{1, 4}, s.voters(t))
}

// A crash in the middle leaves the old cluster or the new one, whole.
func TestRecoverIsCutOff(t *testing.T) {
	dir, c := survivor(t)
	id, err := readIdentity(dir)
	require.NoError(t, err)
	// Before the identity is there in the end, nothing counts.
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "log-0123"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, identityFile+".new"), []byte("{"), 0o600))
	again, err := readIdentity(dir)
	require.NoError(t, err)
	require.Equal(t, id, again)

	_, err = Recover(RecoverConfig{Dir: dir})
	require.NoError(t, err)
	// The state still is the old cluster's here, as after a crash: the start sees to it.
	state, err := store.Open(filepath.Join(dir, stateDir), &store.Options{ClusterID: uint64(id.Cluster), NodeID: 1})
	require.NoError(t, err)
	require.NoError(t, state.Close())
	s := c.start(c.config("server1"))
	_, err = c.client().Put(within(t), []byte("k"), []byte("v"))
	require.NoError(t, err)
	c.stop(s.ID())
	// And it may be recovered a second time.
	_, err = Recover(RecoverConfig{Dir: dir})
	require.NoError(t, err)
	c.start(c.config("server1"))
	e, err := c.client().Get(within(t), []byte("k"), api.Linearizable)
	require.NoError(t, err)
	require.Equal(t, "v", string(e.Value))
}

// What is no survivor is refused, and stays as it is.
func TestRecoverRefuses(t *testing.T) {
	_, err := Recover(RecoverConfig{Dir: filepath.Join(t.TempDir(), "nothing")})
	require.ErrorIs(t, err, ErrNothingToRecover)
	c := newCluster(t)
	config := c.config("server1")
	s := c.start(config)
	_, err = Recover(RecoverConfig{Dir: config.Dir})
	require.ErrorIs(t, err, ErrInUse)
	_, err = Recover(RecoverConfig{Dir: config.Dir, Peer: "nowhere"})
	require.ErrorIs(t, err, ErrInvalidConfig)
	c.stop(s.ID())
}
