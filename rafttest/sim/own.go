package sim

import (
	"bytes"
	"fmt"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// What an embedder brings: storage, state machine, transport.

// Transport is an embedder's transport, as far as it can be simulated: what it
// makes of a message, and of the bytes that arrive. One is made for each life of
// a node.
type Transport interface {
	// Encode returns the bytes that go over the network for m, to be kept by
	// the caller. m must not be kept.
	Encode(m *pb.Message) ([]byte, error)
	// Decode returns the message in what another's Encode returned.
	Decode(frame []byte) (pb.Message, error)
}

// openOwn opens what the embedder brought for the node's next life.
func (s *simulation) openOwn(n *node, c *raft.Config) error {
	if s.o.NewTransport != nil {
		n.transport = s.o.NewTransport(n.id)
	}
	if s.o.NewMachine != nil {
		n.user = s.o.NewMachine(n.id)
	}
	if s.o.OpenStorage == nil {
		return nil
	}
	own, err := s.o.OpenStorage(n.id, n.created)
	if err != nil {
		return fmt.Errorf("opening the storage: %w", err)
	}
	snap := n.disk.written.snap
	if n.created && snap.Metadata.Index > 0 {
		if err := own.Save(raft.Ready{Snapshot: snap, MustSync: true}); err != nil {
			return fmt.Errorf("saving the first snapshot: %w", err)
		}
	}
	n.created = false
	n.own, c.Storage = own, own
	return n.sameStorage()
}

// sameStorage compares the embedder's storage with the simulated disk.
func (n *node) sameStorage() error {
	first, err := n.own.FirstIndex()
	if err != nil {
		return fmt.Errorf("FirstIndex: %w", err)
	}
	last, err := n.own.LastIndex()
	if err != nil {
		return fmt.Errorf("LastIndex: %w", err)
	}
	im := &n.disk.durable
	if last != im.last() || first > im.base+1 {
		return fmt.Errorf("the log is [%d, %d], saved was [%d, %d]", first, last, im.base+1, im.last())
	}
	for i := im.base; i <= last; i++ {
		want, _ := im.term(i)
		if term, err := n.own.Term(i); err != nil || term != want {
			return fmt.Errorf("the term of entry %d is %d, error %v; saved was %d", i, term, err, want)
		}
	}
	for i := range im.ents {
		want := &im.ents[i]
		got, err := n.own.Entries(want.Index, want.Index+1, 0)
		if err != nil {
			return fmt.Errorf("entry %d: %w", want.Index, err)
		}
		if len(got) != 1 || !sameEntry(&got[0], want) {
			return fmt.Errorf("entry %d is %v, saved was %v", want.Index, got, want)
		}
	}
	return n.sameState()
}

// sameConf compares the configuration after one was saved.
func (n *node) sameConf() error {
	_, cs, err := n.own.InitialState()
	if err != nil {
		return fmt.Errorf("InitialState: %w", err)
	}
	if err := cs.Equivalent(n.disk.durable.conf); err != nil {
		return fmt.Errorf("that in InitialState and the saved: %w", err)
	}
	return nil
}

// sameEnd compares where the log of the embedder's storage ends after a write,
// with its last entry. What a later write may hide again is seen only then.
func (n *node) sameEnd() error {
	last, err := n.own.LastIndex()
	if err != nil {
		return fmt.Errorf("LastIndex: %w", err)
	}
	im := &n.disk.written
	want, _ := im.term(im.last())
	if last != im.last() {
		return fmt.Errorf("the log ends at %d, that which was saved at %d", last, im.last())
	}
	if term, err := n.own.Term(last); err != nil || term != want {
		return fmt.Errorf("the term of entry %d is %d, error %v; saved was %d", last, term, err, want)
	}
	return nil
}

func sameEntry(a, b *pb.Entry) bool {
	return a.Index == b.Index && a.Term == b.Term && a.Type == b.Type && bytes.Equal(a.Data, b.Data)
}

// sameState compares what a storage has beside the log.
func (n *node) sameState() error {
	hs, cs, err := n.own.InitialState()
	if err != nil {
		return fmt.Errorf("InitialState: %w", err)
	}
	snap, err := n.own.Snapshot()
	if err != nil {
		return fmt.Errorf("Snapshot: %w", err)
	}
	want := &n.disk.durable
	if hs != want.hs {
		return fmt.Errorf("the hard state is %v, saved was %v", hs, want.hs)
	}
	if err := cs.Equivalent(want.conf); err != nil {
		return fmt.Errorf("that in InitialState and the saved: %w", err)
	}
	got, saved := &snap.Metadata, &want.snap.Metadata
	if got.Index != saved.Index || got.Term != saved.Term || !bytes.Equal(snap.Data, want.snap.Data) {
		return fmt.Errorf("the snapshot is that at %d of term %d with %d bytes, saved was that at %d of term %d with %d bytes",
			got.Index, got.Term, len(snap.Data), saved.Index, saved.Term, len(want.snap.Data))
	}
	if err := got.ConfState.Equivalent(saved.ConfState); err != nil {
		return fmt.Errorf("that in Snapshot and the saved: %w", err)
	}
	return nil
}

// ownSnapshot gives the embedder's storage a snapshot that its node took.
func (s *simulation) ownSnapshot(n *node, snap *pb.Snapshot, compactTo uint64) error {
	if err := n.own.CreateSnapshot(snap.Metadata.Index, snap.Metadata.ConfState, snap.Data); err != nil {
		return fmt.Errorf("CreateSnapshot(%d): %w", snap.Metadata.Index, err)
	}
	first, err := n.own.FirstIndex()
	if err == nil && compactTo >= first {
		err = n.own.Compact(compactTo)
	}
	if err != nil {
		return fmt.Errorf("Compact(%d): %w", compactTo, err)
	}
	return nil
}

// overWire takes a message through the transports of both ends.
func (s *simulation) overWire(from, to *node, m *pb.Message) bool {
	frame, err := from.transport.Encode(m)
	if err != nil {
		s.fail("transport", from.id, fmt.Sprintf("Encode of %v: %v", m.Type, err))
		return false
	}
	got, err := to.transport.Decode(frame)
	if err != nil {
		s.fail("transport", to.id, fmt.Sprintf("Decode of %v: %v", m.Type, err))
		return false
	}
	want, err := m.Marshal()
	if err != nil {
		s.fail("transport", from.id, err.Error())
		return false
	}
	have, err := got.Marshal()
	if err != nil || !bytes.Equal(have, want) {
		s.fail("transport", to.id, fmt.Sprintf("%v arrives as another message: %v, sent was %v", m.Type, &got, m))
		return false
	}
	*m = got
	return true
}

// userMark begins the data of every entry with a command of the embedder's, which
// follows it.
const userMark = 'u'

// proposeOwn lets a client propose a command of the embedder's beside its own
// operations. It does not wait for the result: replicas are compared.
func (s *simulation) proposeOwn(c *client) {
	if s.o.Commands == nil {
		return
	}
	n := s.byID(c.leader)
	if n == nil || !n.up {
		n = s.anyUp(&c.random)
	}
	if n == nil || n.paused > 0 {
		return
	}
	data := append([]byte{userMark}, s.o.Commands(c.random.Uint64())...)
	_ = s.propose(n, data)
}

// userPart returns the embedder's part of a snapshot's data, which follows the
// registers.
func userPart(data []byte) []byte { return data[min(len(data), machineSize):] }
