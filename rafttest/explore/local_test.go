package explore

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/progress"
	pb "github.com/quorate-raft/raft/raftpb"
)

// ledBy returns the members of a group that member 1 leads, each open on a bench of its own.
func ledBy(t *testing.T, m *Model) (all []*member, benches []*bench) {
	w := m.worker()
	require.NoError(t, w.fresh())
	require.NoError(t, w.lead())
	for _, number := range w.next.members {
		b := newBench(&m.settings)
		mb, err := b.open(m.members.get(number).bytes)
		require.NoError(t, err)
		all, benches = append(all, mb), append(benches, b)
	}
	return all, benches
}

// S10: a leader sends a peer what follows that which it believes the peer to hold, and never believes less in its term.
func TestWhatLeadersBelieve(t *testing.T) {
	members, _ := ledBy(t, model(t, Bounds{Members: 2, Terms: 1, Messages: 2, Led: true}))
	leader := members[0]
	was := leader.Node.BasicStatus()
	require.NoError(t, leader.moved(inTick, &was))
	l := *fieldAt[unsafe.Pointer](*(*unsafe.Pointer)(unsafe.Pointer(&leader.Node)), leaderAt)
	peers := *fieldAt[[]progress.Progress](l, fieldOf(leaderType, "peers").Offset)
	peers[1].Next = peers[1].Match
	requireRule(t, "S10", leader.moved(inTick, &was))

	led := view{id: 1, term: 2, role: raft.StateLeader, peers: []peer{{1, 4}, {2, 3}}}
	next := led
	next.peers = []peer{{1, 4}, {2, 2}}
	requireRule(t, "S10", forgets(&led, &next))
	next.term++
	require.NoError(t, forgets(&led, &next), "another term")
	next.term--
	next.role = raft.StateFollower
	require.NoError(t, forgets(&led, &next))
	next.role = raft.StateLeader
	next.peers = []peer{{1, 5}, {3, 0}}
	require.NoError(t, forgets(&led, &next), "others are members now")
}

// S17: a snapshot that a node takes is past what it has committed.
func TestSnapshotsArePastTheCommit(t *testing.T) {
	members, _ := ledBy(t, model(t, Bounds{Members: 2, Terms: 1, Messages: 2, Led: true}))
	rd := raft.Ready{MustSync: true}
	rd.Snapshot.Metadata = pb.SnapshotMetadata{Index: firstIndex + 2, Term: firstTerm + 1}
	require.NoError(t, members[1].handOut(&rd))
	rd.Snapshot.Metadata.Index--
	requireRule(t, "S17", members[1].handOut(&rd))
}
