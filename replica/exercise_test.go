package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"testing"

	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// sumMachine adds up what it is given. Its state dies with it.
type sumMachine struct {
	mu       sync.Mutex
	sum, num uint64
}

func (m *sumMachine) Apply(commands []Command) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range commands {
		for _, b := range commands[i].Data {
			m.sum += uint64(b)
		}
		m.num++
		commands[i].Result = m.sum
	}
	return nil
}

func (m *sumMachine) View() (View, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := binary.LittleEndian.AppendUint64(nil, m.sum)
	return bytesView(binary.LittleEndian.AppendUint64(b, m.num)), nil
}

func (m *sumMachine) Restore(_ uint64, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum, m.num = 0, 0
	if len(b) == 16 { // a foreign snapshot of the exercise is empty or text
		m.sum, m.num = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	}
	return nil
}

type bytesView []byte

func (v bytesView) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(v)
	return int64(n), err
}
func (v bytesView) Close() error { return nil }

// exerciseTransport joins a replica to ExerciseHost, whose messages carry whole
// snapshots.
type exerciseTransport struct {
	send    func(m pb.Message)
	deliver func(m *pb.Message)
	receive func(from uint64, meta []byte) (interface {
		io.Writer
		Commit() error
		Abort()
	}, error)
}

func (t *exerciseTransport) Start(deliver func(m *pb.Message), _ func(uint64), snapshot func(uint64, []byte) (interface {
	io.Writer
	Commit() error
	Abort()
}, error)) error {
	t.deliver, t.receive = deliver, snapshot
	return nil
}

func (t *exerciseTransport) Send(ms []pb.Message) {
	for i := range ms {
		t.send(ms[i])
	}
}

func (t *exerciseTransport) SendSnapshot(_ context.Context, _ uint64, meta []byte, body io.Reader) error {
	var m pb.Message
	if err := m.Unmarshal(meta); err != nil {
		return err
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	m.Snapshot.Data = data
	t.send(m)
	return nil
}

func (t *exerciseTransport) step(m pb.Message) {
	if m.Type != pb.MsgSnap {
		t.deliver(&m)
		return
	}
	data := m.Snapshot.Data
	snap := *m.Snapshot
	snap.Data = nil
	m.Snapshot = &snap
	meta, err := m.Marshal()
	if err != nil {
		panic(err)
	}
	sink, err := t.receive(m.From, meta)
	if err != nil {
		return
	}
	if _, err := io.Copy(sink, bytes.NewReader(data)); err != nil {
		sink.Abort()
		return
	}
	_ = sink.Commit()
}

func (t *exerciseTransport) SetPeer(uint64, string) {}
func (t *exerciseTransport) RemovePeer(uint64)      {}
func (t *exerciseTransport) Close() error           { return nil }

// exercised is a replica as rafttest.ExerciseHost drives it.
type exercised struct {
	*Replica
	transport *exerciseTransport
}

func (h exercised) do(f func()) { h.call(f) }

func (h exercised) Tick()               { h.do(h.tick) }
func (h exercised) Step(m pb.Message)   { h.transport.step(m) }
func (h exercised) Campaign()           { h.do(func() { _ = h.node.Campaign() }) }
func (h exercised) Propose(data []byte) { h.do(func() { _ = h.node.Propose(data) }) }
func (h exercised) ProposeConfChange(cc pb.ConfChangeI) {
	h.do(func() { _ = h.node.ProposeConfChange(cc) })
}

func (h exercised) ReadIndex(rctx []byte) {
	h.do(func() { _ = h.node.ReadIndex(rctx) })
}
func (h exercised) TakeSnapshot() { go func() { _ = h.Replica.TakeSnapshot(context.Background()) }() }
func (h exercised) Stop()         { _ = h.Replica.Stop(context.Background()) }

// The replica keeps the host contract (docs/host-contract.md) through elections,
// reads, truncation, snapshots in both directions, changes of configuration, crashes
// between any two steps and a failing write.
func TestReplicaKeepsTheHostContract(t *testing.T) {
	dir := t.TempDir()
	rafttest.ExerciseHost(t, func(env *rafttest.HostEnv) (rafttest.Host, error) {
		tr := &exerciseTransport{send: env.Send}
		applied := env.Check.Apply(func(pb.Entry) {})
		restored := env.Check.Restore(func(pb.Snapshot) {})
		cfg := Config{
			ID: env.Config.ID, Storage: env.Storage, Transport: tr, StateMachine: &sumMachine{}, SnapshotDir: dir,
			Bootstrap: env.Peers, Raft: env.Config,
			hooks: hooks{
				manualTicks: true, noTrailing: true, applied: applied, served: env.Check.Served,
				restored: func(meta pb.SnapshotMetadata) { restored(pb.Snapshot{Metadata: meta}) },
			},
		}
		r, err := Start(cfg)
		if err != nil {
			return nil, fmt.Errorf("start: %w", err)
		}
		return exercised{r, tr}, nil
	})
}
