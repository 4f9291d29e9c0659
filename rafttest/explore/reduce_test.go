package explore

import (
	"context"
	"slices"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest/explore/internal/mirror"
	"github.com/quorate-raft/raft/rafttest/explore/search"
)

// smallest is small enough to be explored in every way.
var smallest = Bounds{
	Members: 2, Terms: 2, Entries: 2, Messages: 3, Proposals: 1, NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true,
}

func explored(t *testing.T, m search.Model, opts search.Options) search.Result {
	t.Helper()
	r, err := search.Run(context.Background(), m, opts)
	require.NoError(t, err)
	if r.Violation != nil {
		t.Fatal(r.Violation)
	}
	require.True(t, r.Complete)
	return r
}

func model(t *testing.T, b Bounds) *Model {
	t.Helper()
	m, err := NewModel(b)
	require.NoError(t, err)
	return m
}

// counted is a model whose states are told apart as they are, and which counts how many there are under another
// fingerprint.
type counted struct {
	*Model
	other map[search.Fingerprint]bool
	by    func(w *worker, s *state) search.Fingerprint
}

type countingWorker struct {
	*worker
	c *counted
}

func (c *counted) NewWorker() search.Worker { return &countingWorker{c.worker(), c} }

func (w *countingWorker) Expand(b []byte, out *search.Out) error {
	var s state
	s.read(b, w.m.Members)
	w.c.other[w.c.by(w.worker, &s)] = true
	return w.worker.Expand(b, out)
}

// States that are the same but for the names of members are explored once: there are as many as there are classes of
// them without that.
func TestRenamedStatesAreExploredOnce(t *testing.T) {
	for _, members := range []int{2, 3} {
		if members == 3 && raceEnabled {
			continue // it takes a minute then, and runs what two members run
		}
		b := smallest
		b.Members = members
		if members == 3 {
			b.Terms, b.Messages = 1, 2
		}
		b.Renamed = true
		reduced := explored(t, model(t, b), search.Options{})
		plain := model(t, b)
		plain.plain = true
		c := &counted{plain, map[search.Fingerprint]bool{}, (*worker).least}
		whole := explored(t, c, search.Options{Workers: 1})
		require.Equal(t, int(reduced.States), len(c.other))
		require.Equal(t, reduced.Depth, whole.Depth)
		require.Greater(t, whole.States, reduced.States*17/10, "nothing is gained")
	}
}

// withoutPayloads is the fingerprint of a state whose entries have no data.
func (w *worker) withoutPayloads(s *state) search.Fingerprint {
	var b []byte
	for _, id := range s.members {
		var mb member
		p := w.m.members.get(id)
		if err := memberCodec.Read(p.bytes, unsafe.Pointer(&mb)); err != nil {
			panic(err)
		}
		b = stripped.Append(b, unsafe.Pointer(&mb))
	}
	var net []string
	for _, id := range s.net {
		net = append(net, string(strippedMessage.Append(nil, unsafe.Pointer(&w.m.messages.get(id).msg))))
	}
	slices.Sort(net)
	for _, msg := range net {
		b = append(b, msg...)
	}
	g := w.m.ghosts.get(s.ghost).ghost.clone()
	for i := range g.Chain {
		g.Chain[i].Tag &= 3
	}
	b = ghostCodec.Append(b, unsafe.Pointer(g))
	b = append(append(b, s.left[:]...), s.changes)
	return search.Hash(b)
}

var (
	stripped        = mirror.New(member{}, withoutData(rules))
	strippedMessage = mirror.New(pb.Message{}, withoutData(messageRules()))
)

func withoutData(r mirror.Rules) mirror.Rules {
	skip := map[string]string{"raftpb.Entry.Data": "all payloads are the same"}
	for name, why := range r.Skip {
		skip[name] = why
	}
	r.Skip = skip
	return r
}

// All payloads are the same: whether an entry is another is told by its term and index. With payloads that differ
// there are as many states once payloads are left out.
func TestPayloadsDoNotMatter(t *testing.T) {
	b := smallest
	b.Terms, b.Proposals, b.Entries = 1, 2, 3
	same := explored(t, model(t, b), search.Options{})
	differ := model(t, b)
	differ.payloads = true
	c := &counted{differ, map[search.Fingerprint]bool{}, (*worker).withoutPayloads}
	whole := explored(t, c, search.Options{Workers: 1})
	require.Equal(t, int(same.States), len(c.other))
	require.Equal(t, same.States, whole.States, "proposals are made in one order")
}

// Sleep sets leave out transitions and no states.
func TestSleepSetsLeaveOutNoStates(t *testing.T) {
	for name, b := range map[string]Bounds{"smallest": smallest, "crash": {
		Members: 2, Terms: 1, Entries: 2, Messages: 3, Proposals: 1, Crashes: 1, NoPreVote: true, ApplyAtOnce: true,
	}, "apply": {Members: 2, Terms: 1, Entries: 2, Messages: 3, Proposals: 1, NoPreVote: true, NoCheckQuorum: true},
		"three": {Members: 3, Terms: 1, Entries: 1, Messages: 3, NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "three" && raceEnabled {
				t.Skip("it takes a minute under the race detector, and runs what the smaller ones run")
			}
			all := explored(t, model(t, b), search.Options{})
			some := explored(t, model(t, b), search.Options{SleepSets: true})
			require.Equal(t, all.States, some.States)
			require.Equal(t, all.Layers, some.Layers)
			require.Equal(t, all.Terminal, some.Terminal)
			require.Less(t, some.Transitions, all.Transitions)
			t.Logf("%d states, %d transitions, %d with sleep sets", all.States, all.Transitions, some.Transitions)
		})
	}
}
