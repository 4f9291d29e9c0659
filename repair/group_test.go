package repair_test

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
	"github.com/quorate-raft/raft/repair"
	"github.com/quorate-raft/raft/replica"
	"github.com/quorate-raft/raft/transport"
)

const tick = 10 * time.Millisecond

// nothing is a state machine without a state.
type nothing struct{}

func (nothing) Apply([]replica.Command) error          { return nil }
func (nothing) View() (replica.View, error)            { return nothing{}, nil }
func (nothing) Restore(_ uint64, r io.Reader) error    { _, err := io.Copy(io.Discard, r); return err }
func (nothing) WriteTo(w io.Writer) (n int64, e error) { return 0, nil }
func (nothing) Close() error                           { return nil }

// group is replicas in a network in memory, each with a supervisor.
type group struct {
	t        *testing.T
	network  *transport.Network
	change   func(c *replica.Config)
	replicas map[uint64]*replica.Replica

	mu    sync.Mutex
	kinds map[uint64]map[repair.Kind]int // what each supervisor decided, and how often
}

func newGroup(t *testing.T, first int, all uint64, change func(c *replica.Config)) *group {
	g := &group{
		t: t, network: transport.NewNetwork(), change: change, replicas: map[uint64]*replica.Replica{},
		kinds: map[uint64]map[repair.Kind]int{},
	}
	t.Cleanup(func() { require.NoError(t, g.network.Close()) })
	var peers []raft.Peer
	for id := uint64(1); id <= uint64(first); id++ {
		peers = append(peers, raft.Peer{ID: id})
	}
	for id := uint64(1); id <= all; id++ {
		if id > uint64(first) {
			peers = nil
		}
		g.start(id, peers)
	}
	return g
}

func (g *group) start(id uint64, peers []raft.Peer) {
	wire, err := g.network.Node(id).Group(1)
	require.NoError(g.t, err)
	c := replica.Config{
		ID: id, Bootstrap: peers, Transport: wire, StateMachine: nothing{}, TickInterval: tick,
		Storage: rafttest.Memory(raft.NewMemoryStorage()), SnapshotDir: filepath.Join(g.t.TempDir(), fmt.Sprint(id)),
	}
	g.change(&c)
	r, err := replica.Start(c)
	require.NoError(g.t, err)
	s, err := repair.New(repair.Config{
		Group: repair.Of(r), Interval: 2 * tick,
		Policy: repair.Policy{Spares: []pb.Member{{ID: 4}}, After: 25 * tick, Cooldown: 10 * tick},
	})
	require.NoError(g.t, err)
	kinds := map[repair.Kind]int{}
	g.replicas[id], g.kinds[id] = r, kinds
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			d := s.Step(ctx)
			g.mu.Lock()
			kinds[d.Kind]++
			g.mu.Unlock()
			select {
			case <-ctx.Done():
			case <-time.After(2 * tick):
			}
		}
	})
	g.t.Cleanup(func() {
		cancel()
		_ = r.Stop(context.Background())
		running.Wait()
	})
}

func (g *group) until(what string, done func() bool) {
	g.t.Helper()
	require.Eventually(g.t, done, 20*time.Second, tick, what)
}

func (g *group) status(id uint64) replica.Status {
	g.t.Helper()
	st, err := g.replicas[id].Status(context.Background())
	require.NoError(g.t, err)
	return st
}

func (g *group) members(id uint64) []uint64 {
	g.t.Helper()
	st := g.status(id)
	return st.Config.IDs()
}

// leader waits until one of ids leads.
func (g *group) leader(ids ...uint64) (leader uint64) {
	g.until("there is a leader", func() bool {
		for _, id := range ids {
			if _, self := g.replicas[id].Leader(); self {
				leader = id
				return true
			}
		}
		return false
	})
	return leader
}

func (g *group) decided(id uint64, kind repair.Kind) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.kinds[id][kind]
}

// The supervisor of a leader that is cut off finds all others dead and replaces nobody,
// also where such a leader never steps down; that of the majority replaces it, and
// when it is back it is no member any more.
func TestMinorityReplacesNobody(t *testing.T) {
	for name, change := range map[string]func(c *replica.Config){
		"it steps down":     func(*replica.Config) {},
		"it never does":     func(c *replica.Config) { c.Raft.DisableCheckQuorum = true },
		"changes on append": func(c *replica.Config) { c.Raft.DisableCheckQuorum, c.Raft.ConfChangeEffect = true, raft.OnAppend },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t, 3, 4, change)
			old := g.leader(1, 2, 3)
			require.NoError(t, g.replicas[old].Read(context.Background()))
			for _, id := range []uint64{1, 2, 3, 4} {
				if id != old {
					g.network.Cut(old, id)
				}
			}
			var rest []uint64
			for id := uint64(1); id <= 3; id++ {
				if id != old {
					rest = append(rest, id)
				}
			}
			next := g.leader(rest...)
			g.until("it is replaced", func() bool {
				st := g.status(next)
				return st.Config.Target == nil && !st.Config.Contains(old) && st.Config.IsVoter(4)
			})
			require.Zero(t, g.decided(old, repair.Replace), "by the minority")
			if st := g.status(old); st.RaftState == raft.StateLeader {
				g.until("it says why it does nothing", func() bool { return g.decided(old, repair.TooFew) > 0 })
			}
			require.Equal(t, []uint64{1, 2, 3}, g.members(old))
			g.network.Heal()
			_, err := g.replicas[4].Propose(context.Background(), []byte("x"))
			require.NoError(t, err)
			require.Zero(t, g.decided(old, repair.Replace), "afterwards")
			require.Len(t, g.members(next), 3)
		})
	}
}

// A change that is in the log and not committed, and a hand-over that has begun, are changes
// under way.
func TestLookShowsChanges(t *testing.T) {
	g := newGroup(t, 3, 3, func(c *replica.Config) { c.Raft.ElectionTick, c.Raft.HeartbeatTick = 100, 1 })
	leader := g.leader(1, 2, 3)
	r := g.replicas[leader]
	require.NoError(t, r.Read(context.Background()))
	shows := func(changing bool) {
		t.Helper()
		g.until("the view shows it", func() bool {
			v, err := repair.Of(r).Look(context.Background())
			return err == nil && v.Leads && v.Changing == changing
		})
	}
	shows(false)
	within := func(d time.Duration) context.Context {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		t.Cleanup(cancel)
		return ctx
	}
	g.network.SetFilter(func(m *pb.Message) bool { return m.Type != pb.MsgApp })
	_, err := r.ProposeConfChange(within(5*tick), pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 9})
	require.ErrorIs(t, err, replica.ErrAmbiguous)
	shows(true)
	g.network.SetFilter(nil)
	shows(false)

	g.network.SetFilter(func(m *pb.Message) bool { return m.Type != pb.MsgTimeoutNow })
	require.ErrorIs(t, r.TransferLeadership(within(5*tick), leader%3+1), context.DeadlineExceeded)
	v, err := repair.Of(r).Look(context.Background())
	require.NoError(t, err)
	require.True(t, v.Changing)
}
