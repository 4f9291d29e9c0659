package replica_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
	"github.com/quorate-raft/raft/rafttest/lincheck"
	"github.com/quorate-raft/raft/replica"
	"github.com/quorate-raft/raft/transport"
)

// A disk that loses what was not synced.

// crashDisk is a replica.Storage whose crash loses some of the last writes that no
// synced one followed.
type crashDisk struct {
	rand *rand.Rand
	slow bool // now and then

	mu     sync.Mutex
	dead   bool
	writes []func(s rafttest.Storage) error
	synced int
	rafttest.Storage
}

func newCrashDisk(seed uint64) *crashDisk {
	return &crashDisk{rand: rand.New(rand.NewPCG(seed, 1)), Storage: rafttest.Memory(raft.NewMemoryStorage())}
}

var errPower = errors.New("the power failed")

func (d *crashDisk) write(sync bool, f func(s rafttest.Storage) error) error {
	if d.slow {
		hesitate()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return errPower
	}
	if err := f(d.Storage); err != nil {
		return err
	}
	d.writes = append(d.writes, f)
	if sync {
		d.synced = len(d.writes)
	}
	return nil
}

func (d *crashDisk) Save(rd raft.Ready) error {
	return d.write(rd.MustSync, func(s rafttest.Storage) error { return s.Save(rd) })
}

func (d *crashDisk) SetConfState(cs pb.ConfState) error {
	return d.write(false, func(s rafttest.Storage) error { return s.SetConfState(cs) })
}

func (d *crashDisk) CreateSnapshot(i uint64, cs pb.ConfState, data []byte) error {
	return d.write(false, func(s rafttest.Storage) error { return s.CreateSnapshot(i, cs, data) })
}

func (d *crashDisk) Compact(i uint64) error {
	return d.write(false, func(s rafttest.Storage) error { return s.Compact(i) })
}

// powerOff lets every write fail from now on.
func (d *crashDisk) powerOff() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
}

// recovered returns what is found after the power is back.
func (d *crashDisk) recovered() *crashDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := d.synced + d.rand.IntN(len(d.writes)-d.synced+1)
	again := newCrashDisk(d.rand.Uint64())
	for _, f := range d.writes[:kept] {
		if err := f(again.Storage); err != nil {
			panic(err) // it did not fail before
		}
	}
	again.writes, again.synced, again.slow = d.writes[:kept:kept], kept, d.slow
	return again
}

// hesitate waits now and then, so that what comes next piles up.
func hesitate() {
	if rand.IntN(40) == 0 {
		time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
	}
}

// A map of registers.

// register commands are 5 numbers: id, kind, key, value, expect.
const registerCommand = 40

type registerResult struct {
	index   uint64
	swapped bool
}

// registers is a map of registers as a state machine. book is what all of them
// together may have applied.
type registers struct {
	book *book

	mu      sync.Mutex
	applied uint64
	values  map[uint64]uint64
}

// durableRegisters outlive a crash as of the last Sync, or later.
type durableRegisters struct {
	*registers
	synced registersView
}

func (m *registers) Apply(commands []replica.Command) error {
	hesitate()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range commands {
		c := &commands[i]
		var n [registerCommand / 8]uint64
		for j := range n {
			n[j] = binary.LittleEndian.Uint64(c.Data[8*j:])
		}
		if c.Index <= m.applied {
			return fmt.Errorf("index %d is applied again, or late: applied is %d", c.Index, m.applied)
		}
		if err := m.book.applied(n[0], c.Index); err != nil {
			return err
		}
		kind, key := lincheck.Kind(n[1]), n[2]
		swapped := kind == lincheck.Write || m.values[key] == n[4]
		if swapped {
			m.values[key] = n[3]
		}
		c.Result = registerResult{c.Index, swapped}
		m.applied = c.Index
	}
	return nil
}

type registersView struct {
	applied uint64
	values  map[uint64]uint64
}

func (m *registers) view() registersView {
	m.mu.Lock()
	defer m.mu.Unlock()
	return registersView{m.applied, maps.Clone(m.values)}
}

func (m *registers) View() (replica.View, error) { return m.view(), nil }

func (v registersView) WriteTo(w io.Writer) (int64, error) {
	hesitate()
	n := int64(0)
	for _, key := range slices.Sorted(maps.Keys(v.values)) {
		b := binary.LittleEndian.AppendUint64(nil, key)
		k, err := w.Write(binary.LittleEndian.AppendUint64(b, v.values[key]))
		if n += int64(k); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (v registersView) Close() error { return nil }

func (m *registers) Restore(index uint64, r io.Reader) error {
	hesitate()
	values := map[uint64]uint64{}
	var b [16]byte
	for {
		_, err := io.ReadFull(r, b[:])
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		values[binary.LittleEndian.Uint64(b[:])] = binary.LittleEndian.Uint64(b[8:])
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if index < m.applied {
		return fmt.Errorf("a snapshot at %d takes the state back from %d", index, m.applied)
	}
	m.applied, m.values = index, values
	return nil
}

// get returns a register, and up to where the state machine is.
func (m *registers) get(key uint64) (value, applied uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[key], m.applied
}

func (m *durableRegisters) Applied() (uint64, error) { return m.applied, nil }

func (m *durableRegisters) Sync() error {
	v := m.view()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.synced = v
	return nil
}

// book knows where each command was applied.
type book struct {
	mu      sync.Mutex
	indexOf map[uint64]uint64 // by command
	idAt    map[uint64]uint64 // by index
}

func (b *book) applied(id, index uint64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if was, ok := b.indexOf[id]; ok && was != index {
		return fmt.Errorf("command %d is applied at %d and at %d", id, was, index)
	}
	if was, ok := b.idAt[index]; ok && was != id {
		return fmt.Errorf("commands %d and %d are applied at %d", was, id, index)
	}
	b.indexOf[id], b.idAt[index] = index, id
	return nil
}

// The test.

// stressed is a member under stress.
type stressed struct {
	id      uint64
	durable bool
	disk    *crashDisk
	machine *registers
	kept    *durableRegisters
	dir     string
	first   []raft.Peer
	wire    *transport.MemoryNode
	replica *replica.Replica
}

// stress is a group under stress: clients, and one goroutine that does it harm.
type stress struct {
	t       *testing.T
	rand    *rand.Rand // of the goroutine that does harm
	network *transport.Network
	book    *book
	began   time.Time
	next    uint64 // ID of the next member
	down    map[uint64]*stressed

	mu      sync.Mutex
	members map[uint64]*stressed
	ops     []lincheck.Op
	refused []uint64 // commands that are certain not to be applied
	count   atomic.Uint64
	stats   map[string]int
}

// stressTime is how long the stress lasts, and its seed.
func stressTime(t *testing.T) (time.Duration, uint64) {
	limit, seed := 5*time.Second, rand.Uint64()
	if s := os.Getenv("REPLICA_STRESS"); s != "" {
		d, err := time.ParseDuration(s)
		require.NoError(t, err, "REPLICA_STRESS")
		limit = d
	}
	if s := os.Getenv("REPLICA_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err, "REPLICA_SEED")
		seed = n
	}
	return limit, seed
}

// Whatever happens to network, servers and membership: what clients see is
// linearizable (Herlihy and Wing), a command takes effect once if it was acknowledged,
// never if it was refused, at most once otherwise, on all members in one order; no
// replica stops by itself; and when all is mended the group is whole.
func TestStress(t *testing.T) {
	limit, seed := stressTime(t)
	t.Logf("REPLICA_SEED=%d REPLICA_STRESS=%v", seed, limit)
	s := &stress{
		t: t, rand: rand.New(rand.NewPCG(seed, 0)), network: transport.NewNetwork(), began: time.Now(),
		book:    &book{indexOf: map[uint64]uint64{}, idAt: map[uint64]uint64{}},
		members: map[uint64]*stressed{}, down: map[uint64]*stressed{}, stats: map[string]int{},
	}
	defer s.close()
	var first []raft.Peer
	for id := uint64(1); id <= 3; id++ {
		first = append(first, raft.Peer{ID: id, Context: fmt.Appendf(nil, "node %d", id)})
	}
	for range first {
		s.join(first)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var clients sync.WaitGroup
	for client := range uint64(6) {
		clients.Go(func() { s.client(ctx, client, rand.New(rand.NewPCG(seed, client+1))) })
	}
	for ctx.Err() == nil {
		s.harm()
		time.Sleep(time.Duration(s.rand.IntN(60)) * time.Millisecond)
	}
	clients.Wait()
	s.mend()
	s.check()
}

func (s *stress) close() {
	for _, m := range s.members {
		if m.replica != nil {
			_ = m.replica.Stop(context.Background())
		}
	}
	require.NoError(s.t, s.network.Close())
}

// join starts a server that is no member yet, or one of the first.
func (s *stress) join(first []raft.Peer) *stressed {
	s.next++
	m := &stressed{
		id: s.next, durable: s.next%2 == 0, disk: newCrashDisk(s.rand.Uint64()),
		dir: filepath.Join(s.t.TempDir(), "snapshots"), first: first, wire: s.network.Node(s.next),
	}
	m.disk.slow = true
	s.mu.Lock()
	s.members[m.id] = m
	s.mu.Unlock()
	s.start(m)
	return m
}

func (s *stress) start(m *stressed) {
	wire, err := m.wire.Group(1)
	require.NoError(s.t, err)
	machine := &registers{book: s.book, values: map[uint64]uint64{}}
	c := replica.Config{
		ID: m.id, Storage: m.disk, Transport: wire, StateMachine: machine, SnapshotDir: m.dir, Bootstrap: m.first,
		HandOverOnStop: m.id%2 == 1, TickInterval: 5 * time.Millisecond, SnapshotEntries: 60, TrailingEntries: 1 + m.id%3*10,
		Raft: raft.Config{ReadOnlyOption: raft.ReadOnlyLeaseBased, ElectionTick: 20, MaxSizePerMsg: 1 << 10, MaxApplyingSize: 4 << 10},
	}
	if len(m.first) == 0 {
		c.Peers = map[uint64]string{}
		for id := range s.members {
			c.Peers[id] = fmt.Sprint("node ", id)
		}
	}
	if m.durable {
		kept := &durableRegisters{registers: machine}
		if m.kept != nil {
			kept.synced = m.kept.synced
			machine.applied, machine.values = kept.synced.applied, maps.Clone(kept.synced.values)
			if machine.values == nil {
				machine.values = map[uint64]uint64{}
			}
		}
		m.kept, c.StateMachine = kept, kept
	}
	r, err := replica.Start(c)
	require.NoError(s.t, err, "start of %d", m.id)
	s.mu.Lock()
	m.machine, m.replica = machine, r
	s.mu.Unlock()
}

// crash ends a member wherever it is.
func (s *stress) crash(m *stressed) {
	if s.rand.IntN(4) > 0 {
		m.disk.powerOff()
		require.NoError(s.t, m.wire.Close())
	}
	err := m.replica.Stop(context.Background())
	if err != nil && !errors.Is(err, errPower) {
		s.t.Errorf("member %d stopped by itself: %v", m.id, err)
	}
	s.mu.Lock()
	m.replica = nil
	s.mu.Unlock()
	if m.durable && s.rand.IntN(2) == 0 {
		m.kept.synced = m.kept.view() // it was written just before
	}
	m.disk = m.disk.recovered()
	s.down[m.id] = m
}

func (s *stress) restart() {
	for id, m := range s.down {
		delete(s.down, id)
		s.start(m)
	}
}

// some returns a member that runs.
func (s *stress) some(rnd *rand.Rand) (*stressed, *replica.Replica, *registers) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := slices.Sorted(maps.Keys(s.members))
	for {
		m := s.members[ids[rnd.IntN(len(ids))]]
		if m.replica != nil {
			return m, m.replica, m.machine
		}
	}
}

func (s *stress) counted(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats[what]++
}

// harm does one thing.
func (s *stress) harm() {
	a, r, _ := s.some(s.rand)
	short, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	switch n := s.rand.IntN(20); n {
	case 0, 1, 2:
		s.restart()
		s.crash(a)
		s.counted("crash")
	case 3, 4, 5:
		s.restart()
	case 6, 7:
		b, _, _ := s.some(s.rand)
		s.network.Cut(a.id, b.id)
		s.counted("cut")
	case 8:
		for id := range s.members {
			if id != a.id {
				s.network.Cut(a.id, id)
			}
		}
		s.counted("isolation")
	case 9, 10, 11:
		s.network.Heal()
	case 12:
		s.network.SetDropRate(s.rand.Float64()/5, s.rand.Uint64())
	case 13:
		s.network.SetDropRate(0, 1)
		s.network.SetDelay(nil)
	case 14:
		most := 1 + s.rand.Int64N(int64(10*time.Millisecond))
		s.network.SetDelay(func(*pb.Message) time.Duration { return time.Duration(rand.Int64N(most)) })
	case 15:
		b, _, _ := s.some(s.rand)
		if r.TransferLeadership(short, b.id) == nil {
			s.counted("transfer")
		}
	case 16:
		_ = r.TakeSnapshot(short)
	case 17, 18:
		s.grow(short)
	case 19:
		s.shrink(short)
	}
}

// grow lets a server join, first as a learner, or makes a learner a voter.
func (s *stress) grow(ctx context.Context) {
	_, r, _ := s.some(s.rand)
	status, err := r.Status(ctx)
	if err != nil {
		return
	}
	change := pb.ConfChange{Type: pb.ConfChangeAddNode}
	if learners := status.Config.Learners; len(learners) > 0 {
		change.NodeID = learners[0]
	} else if len(s.members) < 5 {
		change.Type = pb.ConfChangeAddLearnerNode
		change.NodeID = s.join(nil).id
	} else {
		for id := range s.members { // one whose addition was refused or got lost
			if !status.Config.Contains(id) {
				change.Type, change.NodeID = pb.ConfChangeAddLearnerNode, id
			}
		}
	}
	if change.NodeID == 0 {
		return
	}
	change.Context = fmt.Appendf(nil, "node %d", change.NodeID)
	if _, err := r.ProposeConfChange(ctx, change); err == nil {
		s.counted(change.Type.String())
	}
}

// shrink removes a member, and the server if that is certain.
func (s *stress) shrink(ctx context.Context) {
	_, r, _ := s.some(s.rand)
	b, _, _ := s.some(s.rand)
	status, err := r.Status(ctx)
	if err != nil || len(status.Config.Voters[0]) < 4 || !status.Config.IsVoter(b.id) {
		return
	}
	s.restart()
	s.network.Heal()
	_, err = r.ProposeConfChange(ctx, pb.ConfChange{Type: pb.ConfChangeRemoveNode, NodeID: b.id})
	if err != nil {
		return
	}
	s.counted("removal")
	time.Sleep(time.Duration(s.rand.IntN(200)) * time.Millisecond)
	s.mu.Lock()
	delete(s.members, b.id)
	gone := b.replica
	b.replica = nil
	s.mu.Unlock()
	if err := gone.Stop(context.Background()); err != nil {
		s.t.Errorf("removed member %d stopped by itself: %v", b.id, err)
	}
}

// client does one operation after the other.
func (s *stress) client(ctx context.Context, client uint64, rnd *rand.Rand) {
	for ctx.Err() == nil {
		n := s.count.Add(1)
		op := lincheck.Op{
			Client: client, Key: n/200*4 + rnd.Uint64N(4), Value: n, Expect: n - rnd.Uint64N(12),
			Kind: []lincheck.Kind{lincheck.Read, lincheck.Write, lincheck.CompareAndSwap}[rnd.IntN(3)],
		}
		if rnd.IntN(3) == 0 {
			op.Expect = 0
		}
		_, r, machine := s.some(rnd)
		if op.Kind == lincheck.CompareAndSwap && rnd.IntN(2) == 0 {
			op.Expect, _ = machine.get(op.Key)
		}
		within, cancel := context.WithTimeout(context.Background(), time.Duration(1+rnd.IntN(400))*time.Millisecond)
		op.Call = int64(time.Since(s.began))
		if op.Kind == lincheck.Read {
			s.read(within, r, machine, &op, rnd)
		} else {
			s.update(within, r, &op, n)
		}
		cancel()
		s.mu.Lock()
		s.ops = append(s.ops, op)
		s.stats[fmt.Sprint(op.Kind, " ", op.Outcome)]++
		s.mu.Unlock()
		time.Sleep(time.Duration(rnd.IntN(2000)) * time.Microsecond)
	}
}

func (s *stress) read(ctx context.Context, r *replica.Replica, machine *registers, op *lincheck.Op, rnd *rand.Rand) {
	read := r.Read
	if rnd.IntN(2) == 0 {
		read = r.ReadLease
	}
	if err := read(ctx); err != nil {
		op.Outcome = lincheck.Failed
		return
	}
	op.Result, op.Pos = machine.get(op.Key)
	op.Return = int64(time.Since(s.began))
}

func (s *stress) update(ctx context.Context, r *replica.Replica, op *lincheck.Op, id uint64) {
	var command []byte
	for _, n := range []uint64{id, uint64(op.Kind), op.Key, op.Value, op.Expect} {
		command = binary.LittleEndian.AppendUint64(command, n)
	}
	result, err := r.Propose(ctx, command)
	switch {
	case err == nil:
		got := result.(registerResult)
		op.Return, op.Pos, op.Swapped = int64(time.Since(s.began)), got.index, got.swapped
	case errors.Is(err, replica.ErrNotApplied) == errors.Is(err, replica.ErrAmbiguous):
		s.t.Errorf("an outcome is one of the two: %v", err)
	case errors.Is(err, replica.ErrNotApplied):
		op.Outcome = lincheck.Failed
		s.mu.Lock()
		s.refused = append(s.refused, id)
		s.mu.Unlock()
	default:
		op.Outcome = lincheck.Unknown
	}
}

// mend repairs everything and waits until all members that the configuration has
// are at the same state.
func (s *stress) mend() {
	s.network.Heal()
	s.network.SetDropRate(0, 1)
	s.network.SetDelay(nil)
	s.restart()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var config map[uint64]bool
	for id := range s.members { // a leader among them is enough
		if status, err := s.members[id].replica.Status(ctx); err == nil && status.Config.Contains(id) {
			if err := s.members[id].replica.Read(ctx); err != nil {
				s.t.Errorf("member %d does not recover: %v; %v\n%s", id, err, status.Config, status.Explain)
				continue
			}
			status, err = s.members[id].replica.Status(ctx)
			require.NoError(s.t, err)
			config = map[uint64]bool{}
			for _, id := range status.Config.IDs() {
				config[id] = true
			}
			break
		}
	}
	var want registersView
	for _, id := range slices.Sorted(maps.Keys(s.members)) {
		m := s.members[id]
		require.NoError(s.t, m.replica.Err(), "member %d stopped by itself", id)
		if !config[id] {
			continue
		}
		if err := m.replica.Read(ctx); err != nil {
			status, _ := m.replica.Status(context.Background())
			s.t.Errorf("member %d does not recover: %v; %v\n%s", id, err, status.Config, status.Explain)
			continue
		}
		v := m.machine.view()
		if want.values == nil {
			want = v
		}
		require.Equal(s.t, want.values, v.values, "the states of the members differ")
	}
	require.NotNil(s.t, want.values, "nobody is there")
}

// check judges what the clients saw.
func (s *stress) check() {
	acknowledged := 0
	for i := range s.ops {
		if op := &s.ops[i]; op.Outcome == lincheck.OK && op.Kind != lincheck.Read {
			acknowledged++
			require.Equal(s.t, op.Pos, s.book.indexOf[op.Value], "where an acknowledged command was applied: %v", op)
		}
	}
	for _, id := range s.refused {
		require.NotContains(s.t, s.book.indexOf, id, "it was said not to be applied")
	}
	require.NoError(s.t, lincheck.Check(s.ops, 0))
	s.t.Logf("%d operations; %v", len(s.ops), s.stats)
	require.NotZero(s.t, acknowledged)
}
