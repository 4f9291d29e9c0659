package sim

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
)

// codec is a transport as most embedders have one. damage, if set, changes what
// is sent before it is encoded.
type codec struct{ damage func(m *pb.Message) }

func (c codec) Encode(m *pb.Message) ([]byte, error) {
	sent := *m
	if c.damage != nil {
		sent.Entries = append([]pb.Entry(nil), m.Entries...)
		c.damage(&sent)
	}
	return sent.Marshal()
}

func (codec) Decode(frame []byte) (m pb.Message, err error) {
	err = m.Unmarshal(frame)
	return m, err
}

func withTransport(seed uint64, t func() Transport) Options {
	return Options{Seed: seed, Steps: 8000, Nodes: 3, Faults: All, NewTransport: func(uint64) Transport { return t() }}
}

// A transport that carries what it is given changes nothing about a run, and sees
// every message that arrives from a process that still runs.
func TestTransport(t *testing.T) {
	t.Parallel()
	for seed := uint64(1); seed <= max(4, seeds(16)); seed++ {
		var count counts
		r := Run(withTransport(seed, func() Transport { count.lives++; return &counter{counts: &count} }))
		require.Nil(t, r.Violation, "seed %d", seed)
		require.Equal(t, r.Stats.Starts, count.lives, "one for each life of a node")
		require.Equal(t, count.encoded, count.decoded)
		require.Greater(t, count.encoded, r.Stats.Messages/4)
		without := withTransport(seed, nil)
		without.NewTransport = nil
		require.Equal(t, Run(without), r)
	}
}

type counts struct{ lives, encoded, decoded uint64 }

type counter struct {
	codec
	*counts
}

func (c *counter) Encode(m *pb.Message) ([]byte, error) { c.encoded++; return c.codec.Encode(m) }

func (c *counter) Decode(frame []byte) (pb.Message, error) { c.decoded++; return c.codec.Decode(frame) }

// A transport that loses any part of a message, or mixes messages up, is found
// out by the first one that it damages.
func TestBrokenTransports(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(m *pb.Message){
		"drops Commit":          func(m *pb.Message) { m.Commit = 0 },
		"drops Reject":          func(m *pb.Message) { m.Reject = false },
		"drops RejectHint":      func(m *pb.Message) { m.RejectHint = 0 },
		"drops Context":         func(m *pb.Message) { m.Context = nil },
		"drops Round":           func(m *pb.Message) { m.Round = 0 },
		"drops LeaseTicks":      func(m *pb.Message) { m.LeaseTicks = 0 },
		"drops LogTerm":         func(m *pb.Message) { m.LogTerm = 0 },
		"drops the last entry":  func(m *pb.Message) { m.Entries = m.Entries[:max(0, len(m.Entries)-1)] },
		"drops entries' types":  func(m *pb.Message) { forEach(m, func(e *pb.Entry) { e.Type = pb.EntryNormal }) },
		"drops entries' terms":  func(m *pb.Message) { forEach(m, func(e *pb.Entry) { e.Term = m.Term }) },
		"cuts entries' data":    func(m *pb.Message) { forEach(m, func(e *pb.Entry) { e.Data = e.Data[:len(e.Data)/2] }) },
		"turns entries around":  reverse,
		"drops snapshots":       func(m *pb.Message) { m.Snapshot = nil },
		"sends from the leader": func(m *pb.Message) { m.From = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := caught(t, "transport", func(seed uint64) Options {
				return withTransport(seed, func() Transport { return codec{damage} })
			})
			require.Contains(t, Run(o).Violation.Detail, "arrives as another message")
		})
	}
}

func forEach(m *pb.Message, change func(e *pb.Entry)) {
	for i := range m.Entries {
		change(&m.Entries[i])
	}
}

func reverse(m *pb.Message) {
	for i, j := 0, len(m.Entries)-1; i < j; i, j = i+1, j-1 {
		m.Entries[i], m.Entries[j] = m.Entries[j], m.Entries[i]
	}
}

// A transport that cannot encode or decode a message is found out, and so is one
// whose frames depend on those before.
func TestTransportErrors(t *testing.T) {
	t.Parallel()
	for name, transport := range map[string]func() Transport{
		"Encode of":                  func() Transport { return refuses{encode: errBroken} },
		"Decode of":                  func() Transport { return refuses{decode: errBroken} },
		errOrder.Error():             func() Transport { return &numbered{next: map[uint64]uint64{}} },
		"arrives as another message": func() Transport { return &reuses{} },
	} {
		o := caught(t, "transport", func(seed uint64) Options { return withTransport(seed, transport) })
		require.Contains(t, Run(o).Violation.Detail, name)
	}
}

type refuses struct{ encode, decode error }

func (r refuses) Encode(*pb.Message) ([]byte, error) { return nil, r.encode }

func (r refuses) Decode([]byte) (pb.Message, error) { return pb.Message{}, r.decode }

var errOrder = errors.New("frame out of order")

// numbered wants frames in the order in which they were made, as a stream that
// never breaks would bring them.
type numbered struct {
	codec
	last uint64
	next map[uint64]uint64
}

func (n *numbered) Encode(m *pb.Message) ([]byte, error) {
	frame, err := m.Marshal()
	n.last++
	return binary.LittleEndian.AppendUint64(frame, n.last), err
}

func (n *numbered) Decode(frame []byte) (pb.Message, error) {
	end := len(frame) - 8
	m, err := n.codec.Decode(frame[:end])
	number := binary.LittleEndian.Uint64(frame[end:])
	if number != n.next[m.From]+1 {
		return m, errOrder
	}
	n.next[m.From] = number
	return m, err
}

// reuses hands out the last message's context with the next.
type reuses struct {
	codec
	context []byte
}

func (r *reuses) Decode(frame []byte) (pb.Message, error) {
	m, err := r.codec.Decode(frame)
	if m.Context, r.context = r.context, m.Context; len(r.context) == 0 {
		r.context = nil
	}
	return m, err
}
