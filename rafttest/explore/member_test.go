package explore

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// walker is a group of which each member exists twice: one lives on, the other is built from bytes before each
// input, as in a search.
type walker struct {
	t       *testing.T
	rnd     *rand.Rand
	m       *Model
	benches []*bench
	live    []*member
	bytes   [][]byte
	net     []pb.Message
	changes []pb.ConfChangeV2
}

func encoded(m *member) []byte { return memberCodec.Append(nil, unsafe.Pointer(m)) }

func newWalker(t *testing.T, seed uint64, b Bounds) *walker {
	b.Terms = 1
	m, err := NewModel(b)
	require.NoError(t, err)
	w := &walker{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), m: m, changes: b.Changes}
	var cs pb.ConfState
	for id := range uint64(b.Members) {
		cs.Voters = append(cs.Voters, id+1)
	}
	cs.Index, cs.ConfChangeEffect = firstIndex, b.Effect
	for id := range uint64(b.Members) {
		mb := &member{ID: id + 1, Disk: disk{
			Hard: pb.HardState{Term: firstTerm, Commit: firstIndex}, Synced: firstIndex, Conf: cs,
			Snap: pb.SnapshotMetadata{Index: firstIndex, Term: firstTerm, ConfState: cs},
		}}
		bench := newBench(&m.settings)
		require.NoError(t, bench.start(mb))
		w.benches, w.live = append(w.benches, bench), append(w.live, mb)
		w.bytes = append(w.bytes, encoded(mb))
	}
	return w
}

// step gives a random input to both halves of a member, which do the same and are in the same state then.
func (w *walker) step() {
	at, in := w.rnd.IntN(len(w.live)), input{}
	v := w.benches[at].view(w.live[at])
	switch pick := w.rnd.IntN(100); {
	case pick < 50 && len(w.net) > 0:
		i := w.rnd.IntN(len(w.net))
		msg := w.net[i]
		at, in = int(msg.To)-1, input{kind: inDeliver, msg: &msg}
		if w.rnd.IntN(8) > 0 {
			w.net = slices.Delete(w.net, i, i+1)
		}
	case pick < 65 && v.pending > 0:
		in.kind = inPersist
	case pick < 75 && v.applies:
		in.kind = inApply
	case pick < 85 && w.m.settings.clock:
		in.kind = inClock
	case pick < 85 && v.ticks && (v.role == raft.StateLeader || w.rnd.IntN(4) == 0):
		in.kind = inTick
	case pick < 92 && v.role == raft.StateLeader:
		in.kind = inPropose
	case pick < 94 && v.role == raft.StateLeader && len(w.changes) > 0:
		in.kind, in.cc = inChange, &w.changes[w.rnd.IntN(len(w.changes))]
	case pick == 94:
		in.kind = inCrash
	case pick == 96 && w.m.settings.reads:
		in.kind, in.data = inRead, []byte{byte(w.rnd.IntN(9))}
	case pick == 97 && w.m.settings.reads && w.rnd.IntN(8) == 0:
		in.kind = inCampaign
	case pick == 98 && w.m.settings.reads && v.role == raft.StateLeader && w.rnd.IntN(8) == 0:
		in.kind, in.to = inTransfer, w.rnd.Uint64N(uint64(len(w.live)))+1
	case pick == 95 && v.compacts:
		in.kind = inCompact
	default:
		return
	}
	if len(w.net) > 30 {
		w.net = w.net[10:]
	}
	other := newBench(&w.m.settings)
	built, err := other.open(w.bytes[at])
	require.NoError(w.t, err)
	what := fmt.Sprintf("member %d, input %d", at+1, in.kind)
	twin := in
	if in.msg != nil {
		c := *in.msg
		c.Entries = slices.Clone(c.Entries)
		twin.msg = &c
	}
	want, err := w.benches[at].step(w.live[at], in)
	require.NoError(w.t, err, what)
	got, err := other.step(built, twin)
	require.NoError(w.t, err, what)
	require.Equal(w.t, want.refused, got.refused, what)
	require.Equal(w.t, len(want.out), len(got.out), what)
	require.Equal(w.t, want.reads, got.reads, what)
	for i := range want.out {
		a, b := messageCodec.Append(nil, unsafe.Pointer(&want.out[i])), messageCodec.Append(nil, unsafe.Pointer(&got.out[i]))
		require.True(w.t, bytes.Equal(a, b), "%s: %v and %v", what, want.out[i], got.out[i])
	}
	w.bytes[at] = encoded(w.live[at])
	require.True(w.t, bytes.Equal(w.bytes[at], encoded(built)), "%s: %x and %x", what, w.bytes[at], encoded(built))
	w.net = append(w.net, want.out...)
}

// What is built from a member's bytes behaves as the member itself, whatever happens to both: the bytes are the
// whole state.
func TestBytesAreTheState(t *testing.T) {
	remove := func(id uint64) pb.ConfChangeV2 {
		return pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{{Type: pb.ConfChangeRemoveNode, NodeID: id}}}
	}
	add := func(ids ...uint64) (cc pb.ConfChangeV2) {
		for _, id := range ids {
			cc.Changes = append(cc.Changes, pb.ConfChangeSingle{Type: pb.ConfChangeAddNode, NodeID: id})
		}
		return cc
	}
	swap := pb.ConfChangeV2{Changes: append(add(3).Changes, remove(2).Changes...)}
	for name, b := range map[string]Bounds{
		"plain":       {Members: 3, Messages: 9},
		"no pre-vote": {Members: 3, Messages: 9, NoPreVote: true, NoCheckQuorum: true},
		"reads":       {Members: 3, Messages: 9, Reads: 1},
		"leases":      {Members: 3, Messages: 9, Reads: 1, Ticks: 1},
		"changes":     {Members: 3, Messages: 9, Changes: []pb.ConfChangeV2{remove(3), add(3), remove(1), add(1), swap, add(2)}},
		"on append": {Members: 3, Messages: 9, Effect: raft.OnAppend,
			Changes: []pb.ConfChangeV2{remove(3), add(3), remove(1), add(1), swap, add(2)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			leaders := 0
			walks := uint64(30)
			if raceEnabled {
				walks = 4
			}
			for seed := range walks {
				w := newWalker(t, seed, b)
				for range 600 {
					w.step()
				}
				for _, mb := range w.live {
					if mb.Node.BasicStatus().Commit > firstIndex+2 {
						leaders++
						break
					}
				}
			}
			require.Greater(t, leaders, int(walks)/2, "the walks get nowhere")
		})
	}
}

// Another name is another state, and no renaming but that to the same names gives the same bytes.
func TestRenamings(t *testing.T) {
	require.Len(t, renamings(3), 5)
	w := newWalker(t, 7, Bounds{Members: 3, Messages: 9})
	changed := 0
	for range 2000 {
		w.step()
		for _, mb := range w.live {
			p := unsafe.Pointer(mb)
			same := memberCodec.AppendRenamed(nil, p, []uint64{0, 1, 2, 3})
			if !bytes.Equal(same, memberCodec.AppendRenamed(nil, p, []uint64{0, 2, 3, 1})) {
				changed++
			}
		}
	}
	require.Equal(t, 6000, changed)
}
