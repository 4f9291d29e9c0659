package replica_test

import (
	"context"
	"encoding/binary"
	"errors"
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
	"github.com/quorate-raft/raft/replica"
	"github.com/quorate-raft/raft/transport"
)

var (
	_ replica.AtMostOnce = (*transport.Group)(nil)
	_ replica.AtMostOnce = (*transport.MemoryGroup)(nil)
)

// sums adds up numbers. disk, if set, outlives it, as a durable state machine's
// would.
type sums struct {
	mu      sync.Mutex
	sum     uint64
	applied uint64
	disk    *sumsDisk
	refuse  error // of the next Apply
}

type sumsDisk struct{ sum, applied uint64 }

func newSums(disk *sumsDisk) *sums {
	m := &sums{disk: disk}
	if disk != nil {
		m.sum, m.applied = disk.sum, disk.applied
	}
	return m
}

func (m *sums) Apply(commands []replica.Command) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse != nil {
		return m.refuse
	}
	for i := range commands {
		c := &commands[i]
		if len(c.Data) != 8 {
			return fmt.Errorf("command of %d bytes", len(c.Data))
		}
		m.sum += binary.LittleEndian.Uint64(c.Data)
		m.applied = c.Index
		c.Result = m.sum
	}
	return nil
}

func (m *sums) View() (replica.View, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return sumsView(m.sum), nil
}

func (m *sums) Restore(index uint64, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum, m.applied = binary.LittleEndian.Uint64(b), index
	return nil
}

func (m *sums) value() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sum
}

type sumsView uint64

func (v sumsView) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(binary.LittleEndian.AppendUint64(nil, uint64(v)))
	return int64(n), err
}
func (v sumsView) Close() error { return nil }

// durableSums keeps its state on disk when it is told to.
type durableSums struct{ *sums }

func (m durableSums) Applied() (uint64, error) { return m.disk.applied, nil }

func (m durableSums) Sync() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	*m.disk = sumsDisk{m.sum, m.applied}
	return nil
}

// member is a server of a group under test: what survives it, and its replica.
type member struct {
	id      uint64
	storage replica.Storage
	disk    *sumsDisk // nil: the state machine is not durable
	dir     string
	listen  string // over TCP its address, fixed by its first life
	sums    *sums
	wire    io.Closer
	replica *replica.Replica
	first   []raft.Peer // of a first member: all of them
}

// group is a group under test.
type group struct {
	t       testing.TB
	members map[uint64]*member
	network *transport.Network // nil: TCP
	change  func(c *replica.Config)
}

const tick = 10 * time.Millisecond

// newGroup starts a group of n members in a network in memory.
func newGroup(t testing.TB, n int, change func(c *replica.Config)) *group {
	g := &group{t: t, network: transport.NewNetwork(), change: change}
	g.begin(n)
	return g
}

// newTCPGroup is newGroup over TCP.
func newTCPGroup(t testing.TB, n int, change func(c *replica.Config)) *group {
	g := &group{t: t, change: change}
	g.begin(n)
	return g
}

func (g *group) begin(n int) {
	g.members = map[uint64]*member{}
	var peers []raft.Peer
	for id := uint64(1); id <= uint64(n); id++ {
		m := g.add(id)
		peers = append(peers, raft.Peer{ID: id, Context: []byte(m.listen)})
	}
	for _, m := range g.members {
		m.first = peers
		g.start(m.id)
	}
	g.t.Cleanup(g.stopAll)
}

// add adds a server that is not running yet; it has a transport, so its address is
// known.
func (g *group) add(id uint64) *member {
	m := &member{id: id, storage: rafttest.Memory(raft.NewMemoryStorage()), dir: filepath.Join(g.t.TempDir(), "snapshots"), listen: "127.0.0.1:0"}
	g.members[id] = m
	g.connect(m)
	return m
}

// connect makes the server's transport.
func (g *group) connect(m *member) {
	if g.network != nil {
		m.wire, m.listen = g.network.Node(m.id), fmt.Sprint("node ", m.id)
		return
	}
	tcp, err := transport.New(transport.Config{ClusterID: 1, NodeID: m.id, Listen: m.listen, MinBackoff: tick, MaxBackoff: 4 * tick})
	require.NoError(g.t, err)
	m.wire, m.listen = tcp, tcp.Addr().String()
}

func (m *member) group() (replica.Transport, error) {
	if tcp, ok := m.wire.(*transport.Transport); ok {
		return tcp.Group(1)
	}
	return m.wire.(*transport.MemoryNode).Group(1)
}

func (g *group) config(m *member) replica.Config {
	if m.wire == nil {
		g.connect(m)
	}
	wire, err := m.group()
	require.NoError(g.t, err)
	c := replica.Config{
		ID: m.id, Storage: m.storage, Transport: wire, SnapshotDir: m.dir, Bootstrap: m.first, TickInterval: tick,
	}
	m.sums = newSums(m.disk)
	c.StateMachine = m.sums
	if m.disk != nil {
		c.StateMachine = durableSums{m.sums}
	}
	if g.change != nil {
		g.change(&c)
	}
	return c
}

func (g *group) start(id uint64) *replica.Replica {
	m := g.members[id]
	var err error
	m.replica, err = replica.Start(g.config(m))
	require.NoError(g.t, err)
	return m.replica
}

func (g *group) stop(id uint64) {
	m := g.members[id]
	if m.replica != nil {
		_ = m.replica.Stop(context.Background())
		require.NoError(g.t, m.wire.Close())
		m.replica, m.wire = nil, nil
	}
}

func (g *group) stopAll() {
	for id, m := range g.members {
		g.stop(id)
		if m.wire != nil {
			_ = m.wire.Close()
		}
	}
	if g.network != nil {
		require.NoError(g.t, g.network.Close())
	}
}

// cut lets no message pass between the member and the others.
func (g *group) cut(id uint64) {
	for other := range g.members {
		if other != id {
			g.network.Cut(id, other)
		}
	}
}

func (g *group) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	g.t.Cleanup(cancel)
	return ctx
}

// leader waits for a leader and returns it.
func (g *group) leader() *member {
	var found *member
	g.until("there is a leader", func() bool {
		for _, m := range g.members {
			if m.replica != nil {
				if _, self := m.replica.Leader(); self {
					found = m
					return true
				}
			}
		}
		return false
	})
	return found
}

func (g *group) follower() *member {
	leader := g.leader()
	for _, m := range g.members {
		if m != leader && m.replica != nil {
			return m
		}
	}
	g.t.Fatal("there is no other")
	return nil
}

func (g *group) until(what string, done func() bool) {
	g.t.Helper()
	require.Eventually(g.t, done, 20*time.Second, tick, what)
}

func number(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

// must proposes until it is certain that n was added once, or fails.
func (g *group) must(m *member, n uint64) uint64 {
	g.t.Helper()
	for ctx := g.context(); ; {
		result, err := m.replica.Propose(ctx, number(n))
		if errors.Is(err, replica.ErrNotApplied) && ctx.Err() == nil {
			continue
		}
		require.NoError(g.t, err)
		return result.(uint64)
	}
}

// Any member takes a command and returns what its own state machine said of it; and
// a read on any member sees what was acknowledged before it (dissertation §6.4).
func TestProposeAndRead(t *testing.T) {
	g := newTCPGroup(t, 3, nil)
	g.leader()
	want := uint64(0)
	for i := range uint64(30) {
		want += i
		require.Equal(t, want, g.must(g.members[i%3+1], i))
		reader := g.members[(i+1)%3+1]
		require.NoError(t, reader.replica.Read(g.context()))
		require.Equal(t, want, reader.sums.value())
	}
}

// Proposals and reads of many goroutines share entries, messages and writes; each
// gets its own outcome.
func TestConcurrentProposals(t *testing.T) {
	g := newGroup(t, 3, nil)
	leader := g.leader()
	const writers, each = 16, 50
	var wg sync.WaitGroup
	var mu sync.Mutex
	results, unknown := map[uint64]bool{}, uint64(0)
	for range writers {
		wg.Go(func() {
			for range each {
				result, err := leader.replica.Propose(g.context(), number(1))
				mu.Lock()
				switch {
				case err == nil:
					results[result.(uint64)] = true
				case errors.Is(err, replica.ErrAmbiguous):
					unknown++
				default:
					t.Error(err)
				}
				mu.Unlock()
				if err == nil && (leader.replica.Read(g.context()) != nil || leader.sums.value() < result.(uint64)) {
					t.Errorf("a read sees %d, acknowledged was %d", leader.sums.value(), result)
				}
			}
		})
	}
	wg.Wait()
	require.Len(t, results, writers*each-int(unknown), "two proposals have one outcome")
	require.GreaterOrEqual(t, leader.sums.value(), uint64(len(results)))
	require.LessOrEqual(t, leader.sums.value(), uint64(writers*each))
}

// What was acknowledged survives the death of any minority, and restarts; a state
// machine that is not durable comes back from its snapshot and the log, a durable one
// from where it was.
func TestRestarts(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%v", durable), func(t *testing.T) {
			g := newGroup(t, 3, func(c *replica.Config) { c.SnapshotEntries, c.TrailingEntries = 20, 5 })
			if durable {
				for id := range g.members {
					g.stop(id)
					g.members[id].disk = &sumsDisk{}
				}
				for id := range g.members {
					g.start(id)
				}
			}
			want := uint64(0)
			for round := range uint64(6) {
				down := round%3 + 1
				g.stop(down)
				for i := range uint64(25) {
					want += i
					require.Equal(t, want, g.must(g.leader(), i))
				}
				g.start(down)
				m := g.members[down]
				require.NoError(t, m.replica.Read(g.context()))
				require.Equal(t, want, m.sums.value())
			}
			for _, m := range g.members {
				first, err := m.storage.FirstIndex()
				require.NoError(t, err)
				require.Greater(t, first, uint64(50), "the log of %d is not compacted", m.id)
			}
		})
	}
}

// A server that joins gets what it lacks as a snapshot, from a file or from a view of
// the state machine, and later leaders find it by the address that the configuration
// has (Config.Peers tells it of one member).
func TestJoin(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%v", durable), func(t *testing.T) {
			var peers map[uint64]string
			g := newTCPGroup(t, 1, func(c *replica.Config) {
				c.SnapshotEntries, c.TrailingEntries = 10, 2
				if len(c.Bootstrap) == 0 {
					c.Peers = peers
				}
			})
			if durable {
				g.stop(1)
				g.members[1].disk = &sumsDisk{}
				g.start(1)
			}
			want := uint64(0)
			for i := range uint64(100) {
				want = g.must(g.members[1], i)
			}
			require.NoError(t, g.members[1].replica.TakeSnapshot(g.context()))
			peers = map[uint64]string{1: g.members[1].listen}
			for id := uint64(2); id <= 3; id++ {
				m := g.add(id)
				if durable {
					m.disk = &sumsDisk{}
				}
				watch := g.start(id).Watch(100)
				for _, kind := range []pb.ConfChangeType{pb.ConfChangeAddLearnerNode, pb.ConfChangeAddNode} {
					g.until("the change is accepted", func() bool {
						_, err := g.leader().replica.ProposeConfChange(g.context(), pb.ConfChange{Type: kind, NodeID: id, Context: []byte(m.listen)})
						return err == nil
					})
				}
				require.NoError(t, m.replica.Read(g.context()))
				require.Equal(t, want, m.sums.value())
				restored := false
				for !restored {
					restored = (<-watch.C).Kind == replica.SnapshotRestored
				}
			}
			require.NoError(t, g.leader().replica.TransferLeadership(g.context(), 3))
			require.EqualValues(t, 3, g.leader().id)
			require.Equal(t, want+1, g.must(g.members[3], 1))
			require.NoError(t, g.members[2].replica.Read(g.context()))
			require.Equal(t, want+1, g.members[2].sums.value())
			status, err := g.members[2].replica.Status(g.context())
			require.NoError(t, err)
			require.Equal(t, g.members[3].listen, string(status.Config.Context(3)))
		})
	}
}

// A member can move: it comes back at another address, which a change of configuration
// tells the others.
func TestChangeAddress(t *testing.T) {
	g := newTCPGroup(t, 3, nil)
	m := g.follower()
	g.must(g.leader(), 5)
	g.stop(m.id)
	m.listen = "127.0.0.1:0"
	g.start(m.id)
	_, err := g.leader().replica.ProposeConfChange(g.context(),
		pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{{Type: pb.ConfChangeUpdateNode, NodeID: m.id, Context: []byte(m.listen)}}})
	require.NoError(t, err)
	g.must(g.leader(), 5)
	require.NoError(t, m.replica.Read(g.context()))
	require.EqualValues(t, 10, m.sums.value())
}

// While there is no leader a proposal waits; if its caller gives up, it is certain that
// it was not applied. One that a leader has appended and cannot commit is ambiguous.
func TestOutcomes(t *testing.T) {
	g := newGroup(t, 3, nil)
	leader := g.leader()
	g.must(leader, 1)
	for id := range g.members {
		if id != leader.id {
			g.stop(id)
		}
	}
	short, cancel := context.WithTimeout(context.Background(), 2*tick)
	defer cancel()
	_, err := leader.replica.Propose(short, number(2))
	require.ErrorIs(t, err, replica.ErrAmbiguous)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	g.until("it steps down", func() bool { id, _ := leader.replica.Leader(); return id == raft.None })
	short, cancel = context.WithTimeout(context.Background(), 2*tick)
	defer cancel()
	_, err = leader.replica.Propose(short, number(4))
	require.ErrorIs(t, err, replica.ErrNotApplied)
	require.ErrorIs(t, leader.replica.Read(short), context.DeadlineExceeded)

	// With the others back it is one of the two that it can be.
	for id := range g.members {
		if id != leader.id {
			g.start(id)
		}
	}
	require.NoError(t, leader.replica.Read(g.context()))
	require.Contains(t, []uint64{1, 3}, leader.sums.value())
}

// An entry that another leader replaced is certain not to have been applied, and its
// proposer is told as soon as it is (Raft §5.3).
func TestReplacedEntryIsNotApplied(t *testing.T) {
	g := newGroup(t, 3, func(c *replica.Config) { c.Raft.DisableCheckQuorum = true })
	old := g.leader()
	g.must(old, 1)
	g.cut(old.id)
	outcome := make(chan error, 1)
	go func() {
		_, err := old.replica.Propose(g.context(), number(2))
		outcome <- err
	}()
	g.until("it is in the log", func() bool {
		status, err := old.replica.Status(g.context())
		return err == nil && status.LastIndex > status.Commit
	})
	var next *member
	g.until("another leads", func() bool {
		for _, m := range g.members {
			if _, self := m.replica.Leader(); self && m != old {
				next = m
			}
		}
		return next != nil
	})
	require.EqualValues(t, 5, g.must(next, 4))
	g.network.Heal()
	require.ErrorIs(t, <-outcome, replica.ErrNotApplied)
	require.NoError(t, old.replica.Read(g.context()))
	require.EqualValues(t, 5, old.sums.value())
}

// Commands that were passed on to a leader that is none any more are ambiguous, since
// nobody can tell whether it got them.
func TestForwardedProposalIsAmbiguous(t *testing.T) {
	g := newGroup(t, 3, nil)
	leader, follower := g.leader(), g.follower()
	g.must(leader, 1)
	g.until("it knows the leader", func() bool { id, _ := follower.replica.Leader(); return id == leader.id })
	g.network.SetFilter(func(m *pb.Message) bool { return m.Type != pb.MsgProp })
	outcome := make(chan error, 1)
	go func() {
		_, err := follower.replica.Propose(g.context(), number(2))
		outcome <- err
	}()
	g.until("it is passed on", func() bool {
		status, err := follower.replica.Status(g.context())
		return err == nil && status.Pending == 1
	})
	g.cut(leader.id)
	require.ErrorIs(t, <-outcome, replica.ErrAmbiguous)
}

// Reads that get lost with their leader, or on their way, are asked again until they
// are answered.
func TestLostReadsAreAskedAgain(t *testing.T) {
	g := newGroup(t, 3, nil)
	leader, follower := g.leader(), g.follower()
	g.must(leader, 7)
	g.network.SetFilter(func(m *pb.Message) bool { return m.Type != pb.MsgReadIndex && m.Type != pb.MsgReadIndexResp })
	done := make(chan error, 1)
	go func() { done <- follower.replica.Read(g.context()) }()
	g.cut(leader.id)
	g.network.SetFilter(nil)
	require.NoError(t, <-done)
	require.EqualValues(t, 7, follower.sums.value())
}

// With leases a leader serves reads without messages, and falls back to asking a
// quorum when it has none (dissertation §6.4.1).
func TestReadLease(t *testing.T) {
	g := newGroup(t, 3, func(c *replica.Config) { c.Raft.ReadOnlyOption = raft.ReadOnlyLeaseBased })
	leader := g.leader()
	g.must(leader, 3)
	g.until("it holds a lease", func() bool {
		status, err := leader.replica.Status(g.context())
		return err == nil && status.LeaseTicks > 0
	})
	for range 100 {
		require.NoError(t, leader.replica.ReadLease(g.context()))
		require.EqualValues(t, 3, leader.sums.value())
	}
	require.NoError(t, g.follower().replica.ReadLease(g.context()))
	g.cut(leader.id)
	short, cancel := context.WithTimeout(context.Background(), 100*tick)
	defer cancel()
	for short.Err() == nil { // until the lease is over nobody else can lead
		_ = leader.replica.ReadLease(short)
	}
	require.ErrorIs(t, leader.replica.ReadLease(short), context.DeadlineExceeded)
}

// A fault of the state machine or the storage stops the replica with that error; it
// takes nothing more, and nobody is left waiting.
func TestFaultStops(t *testing.T) {
	for name, fault := range map[string]func(m *member, err error){
		"state machine": func(m *member, err error) {
			m.sums.mu.Lock()
			m.sums.refuse = err
			m.sums.mu.Unlock()
		},
		"storage": func(m *member, err error) { m.storage.(*faulty).set(err) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t, 1, nil)
			g.stop(1)
			m := g.members[1]
			m.storage = &faulty{Storage: m.storage}
			g.start(1)
			watch := m.replica.Watch(100)
			g.must(g.leader(), 1)
			boom := errors.New("boom")
			fault(m, boom)
			_, err := m.replica.Propose(g.context(), number(2))
			require.ErrorIs(t, err, replica.ErrStopped)
			require.ErrorIs(t, err, boom)
			<-m.replica.Done()
			require.ErrorIs(t, m.replica.Err(), boom)
			_, err = m.replica.Propose(g.context(), number(2))
			require.ErrorIs(t, err, replica.ErrNotApplied)
			require.ErrorIs(t, m.replica.Read(g.context()), replica.ErrStopped)
			_, err = m.replica.Status(g.context())
			require.ErrorIs(t, err, replica.ErrStopped)
			require.ErrorIs(t, m.replica.TransferLeadership(g.context(), 1), replica.ErrStopped)
			require.ErrorIs(t, m.replica.TakeSnapshot(g.context()), replica.ErrStopped)
			last := replica.Event{}
			for e := range watch.C {
				last = e
			}
			require.Equal(t, replica.Stopped, last.Kind)
			require.ErrorIs(t, last.Err, boom)
		})
	}
}

// faulty fails writes when it is told to.
type faulty struct {
	replica.Storage
	mu  sync.Mutex
	err error
}

func (f *faulty) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *faulty) Save(rd raft.Ready) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	return f.Storage.Save(rd)
}

// slow holds writes back while it is told to.
type slow struct {
	replica.Storage
	gate sync.RWMutex
}

func (s *slow) Save(rd raft.Ready) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	return s.Storage.Save(rd)
}

// Ticks go on while the disk stands still, so that its leader hands over to one whose
// disk does not (docs/host-contract.md, 'A disk that stands still').
func TestStalledDiskHandsOver(t *testing.T) {
	g := newGroup(t, 3, nil)
	for id, m := range g.members {
		g.stop(id)
		m.storage = &slow{Storage: m.storage}
	}
	for id := range g.members {
		g.start(id)
	}
	leader := g.leader()
	g.must(leader, 1)
	gate := &leader.storage.(*slow).gate
	gate.Lock()
	outcome := make(chan error, 1)
	go func() {
		_, err := leader.replica.Propose(g.context(), number(2))
		outcome <- err
	}()
	var next *member
	g.until("another leads", func() bool {
		for _, m := range g.members {
			if _, self := m.replica.Leader(); self && m != leader {
				next = m
			}
		}
		return next != nil
	})
	gate.Unlock()
	<-outcome
	require.GreaterOrEqual(t, g.must(next, 4), uint64(5))
}

// A leader that stops hands over first if it is told to, so that nobody waits for an
// election timeout.
func TestHandOverOnStop(t *testing.T) {
	g := newGroup(t, 3, func(c *replica.Config) { c.HandOverOnStop = true })
	leader := g.leader()
	g.must(leader, 1)
	watch := g.follower().replica.Watch(1000)
	g.stop(leader.id)
	for e := range watch.C {
		if e.Kind == replica.LeaderChanged && e.Leader != raft.None && e.Leader != leader.id {
			break
		}
	}
	require.EqualValues(t, 2, g.must(g.leader(), 1))
}

// Leadership moves to whom it is told, from any member, or to the best one; it is an
// error that says why if it cannot.
func TestTransferLeadership(t *testing.T) {
	g := newGroup(t, 3, nil)
	leader := g.leader()
	g.must(leader, 1)
	to := g.follower()
	require.NoError(t, leader.replica.TransferLeadership(g.context(), to.id))
	require.Equal(t, to, g.leader())
	require.NoError(t, to.replica.TransferLeadership(g.context(), to.id), "it leads already")
	require.NoError(t, to.replica.TransferLeadership(g.context(), raft.None))
	require.NotEqual(t, to, g.leader())
	require.ErrorIs(t, g.leader().replica.TransferLeadership(g.context(), 9), raft.ErrTransferTarget)
	leader = g.leader()
	to = g.follower()
	g.cut(to.id)
	require.Error(t, leader.replica.TransferLeadership(g.context(), to.id))
}

// What the replica cannot start from is an error that says what, and nothing runs.
func TestStartRefuses(t *testing.T) {
	g := newGroup(t, 1, nil)
	g.must(g.leader(), 1)
	require.NoError(t, g.members[1].replica.TakeSnapshot(g.context()))
	g.stop(1)
	m := g.members[1]
	good := g.config(m)
	for want, change := range map[string]func(c *replica.Config){
		"Storage must be set":                   func(c *replica.Config) { c.Storage = nil },
		"Transport must be set":                 func(c *replica.Config) { c.Transport = nil },
		"StateMachine must be set":              func(c *replica.Config) { c.StateMachine = nil },
		"SnapshotDir must be set":               func(c *replica.Config) { c.SnapshotDir = "" },
		"ID must not be 0":                      func(c *replica.Config) { c.ID = 0 },
		"Raft.ID (9) must be ID (1)":            func(c *replica.Config) { c.Raft.ID = 9 },
		"Raft.Applied (3)":                      func(c *replica.Config) { c.Raft.Applied = 3 },
		"Raft.SleepAfter (5)":                   func(c *replica.Config) { c.Raft.SleepAfter = 5 },
		"Raft.Storage must be left out":         func(c *replica.Config) { c.Raft.Storage = c.Storage },
		"TickInterval (-1ns) must be positive":  func(c *replica.Config) { c.TickInterval = -1 },
		"MaxPending (-1) must be at least 1":    func(c *replica.Config) { c.MaxPending = -1 },
		"ElectionTick (1) must exceed Heartbea": func(c *replica.Config) { c.Raft.ElectionTick = 1 },
		"MaxSnapshotSends (-1)":                 func(c *replica.Config) { c.MaxSnapshotSends = -1 },
		"MaxProposalBytes (20) must exceed":     func(c *replica.Config) { c.MaxProposalBytes = 20 },
		"MaxInbox (-2)":                         func(c *replica.Config) { c.MaxInbox = -2 },
	} {
		c := good
		change(&c)
		_, err := replica.Start(c)
		require.ErrorIs(t, err, replica.ErrInvalidConfig, want)
		require.ErrorContains(t, err, want)
	}
	// The state machine lost its snapshot.
	c := good
	c.SnapshotDir = t.TempDir()
	_, err := replica.Start(c)
	require.ErrorIs(t, err, replica.ErrSnapshotMissing)
	m.replica, err = replica.Start(good)
	require.NoError(t, err)
	require.NoError(t, m.replica.Read(g.context()))
	require.EqualValues(t, 1, m.sums.value())
}

// A replica that is overloaded says so at once, instead of taking more than it may
// hold.
func TestOverload(t *testing.T) {
	g := newGroup(t, 3, func(c *replica.Config) { c.MaxPending = 8 })
	leader := g.leader()
	g.cut(leader.id)
	short, cancel := context.WithTimeout(context.Background(), 20*tick)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	for range 40 {
		wg.Go(func() {
			if _, err := leader.replica.Propose(short, number(1)); errors.Is(err, replica.ErrOverloaded) {
				mu.Lock()
				refused++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, 32, refused)
}
