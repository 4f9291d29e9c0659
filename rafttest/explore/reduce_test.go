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
	require.Equal(t, opts.MaxDepth == 0, r.Complete)
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

// states returns the classes of states of a model, by a fingerprint.
func states(t *testing.T, m *Model, by func(w *worker, s *state) search.Fingerprint) (map[search.Fingerprint]bool, search.Result) {
	c := &counted{m, map[search.Fingerprint]bool{}, by}
	r := explored(t, c, search.Options{Workers: 1})
	return c.other, r
}

func (w *countingWorker) Expand(b []byte, out *search.Out) error {
	var s state
	s.read(b, w.m.Members)
	w.c.other[w.c.by(w.worker, &s)] = true
	return w.worker.Expand(b, out)
}

// States that are the same but for the names of members are explored once: there are as many as there are classes of
// them without that.
func TestRenamedStatesAreExploredOnce(t *testing.T) {
	three := smallest
	three.Members, three.Terms, three.Messages = 3, 1, 2
	reads := three
	reads.Reads, reads.Proposals, reads.Led, reads.WriteAtOnce = 1, 1, true, true
	for name, b := range map[string]Bounds{"two": smallest, "three": three, "reads": reads} {
		t.Run(name, func(t *testing.T) {
			if b.Members == 3 && raceEnabled {
				t.Skip("it takes a minute under the race detector, and runs what two members run")
			}
			b.Renamed = true
			plain := model(t, b)
			plain.plain = true
			classes, whole := states(t, plain, (*worker).least)
			reduced := explored(t, model(t, b), search.Options{})
			require.Len(t, classes, int(reduced.States))
			require.Equal(t, reduced.Depth, whole.Depth)
			require.Greater(t, whole.States, reduced.States*17/10, "nothing is gained")
		})
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
	classes, whole := states(t, differ, (*worker).withoutPayloads)
	require.Len(t, classes, int(same.States))
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

// least is the fingerprint that a state has where those which differ in names alone are the same.
func (w *worker) least(s *state) search.Fingerprint {
	w.load(s)
	return w.m.tell(w.sums, s)
}

// nets are what is on its way, by the rest of the state.
type nets map[search.Fingerprint][][]uint64

// add takes a state, without the messages that mean nothing any more.
func (n nets) add(w *worker, s *state) search.Fingerprint {
	w.load(s)
	defer func(keep bool) { w.m.keepDead = keep }(w.m.keepDead)
	w.m.keepDead = false
	var net []uint64
	rest := slices.Clone(w.sums)
	for _, p := range w.net {
		minus(rest, p.fps)
		if w.dead(w.parts[p.at], p) {
			minus(w.sums, p.fps)
		} else {
			net = append(net, p.fp().Lo)
		}
	}
	slices.Sort(net)
	key := w.m.tell(rest, s)
	n[key] = append(n[key], net)
	return w.m.tell(w.sums, s)
}

// covers reports whether there is a state like one of others with at least as much on its way.
func (n nets) covers(key search.Fingerprint, less []uint64) bool {
	return slices.ContainsFunc(n[key], func(more []uint64) bool {
		for _, msg := range less {
			at, ok := slices.BinarySearch(more, msg)
			if !ok {
				return false
			}
			more = more[at+1:]
		}
		return true
	})
}

// An answer that means nothing any more is taken away, which changes nothing but what there is room for. With room
// for all messages the same states are found as without that, less those answers. With little room there is, for each
// state, one that differs at most by messages which did not have to be lost to make room.
func TestAnswersThatMeanNothing(t *testing.T) {
	for name, c := range map[string]struct {
		bounds Bounds
		roomy  bool
	}{
		"roomy": {Bounds{Members: 2, Terms: 2, Entries: 2, Timeouts: 2, Messages: 32, NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true}, true},
		"crash": {Bounds{Members: 2, Terms: 2, Entries: 1, Timeouts: 2, Messages: 32, Crashes: 1, Duplicates: 1,
			NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true}, true},
		"pre-votes": {Bounds{Members: 2, Terms: 2, Entries: 1, Timeouts: 2, Messages: 32, Beats: 1, ApplyAtOnce: true}, true},
		"little":    {smallest, false},
		"three":     {Bounds{Members: 3, Terms: 1, Messages: 2, Timeouts: 1, Crashes: 1, NoPreVote: true, NoCheckQuorum: true, ApplyAtOnce: true}, false},
		"changes": {Bounds{Members: 2, Learners: 1, Terms: 1, Entries: 3, Timeouts: 2, Messages: 32, NoPreVote: true, NoCheckQuorum: true,
			Changes: []pb.ConfChangeV2{change(add(2), remove(1))}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if raceEnabled && name != "roomy" {
				t.Skip("there are more states than in the others, which run the same code")
			}
			kept, taken := nets{}, nets{}
			keeps := model(t, c.bounds)
			keeps.keepDead = true
			classes, whole := states(t, keeps, kept.add)
			reduced, _ := states(t, model(t, c.bounds), taken.add)
			t.Logf("%d states, %d with answers that mean nothing, %d classes of these", len(reduced), whole.States, len(classes))
			require.Less(t, len(reduced), int(whole.States), "nothing is gained")
			if c.roomy {
				require.Len(t, reduced, len(classes))
			}
			for key, all := range kept {
				for _, net := range all {
					if !taken.covers(key, net) {
						t.Fatalf("a state with %d messages is not covered", len(net))
					}
				}
			}
		})
	}
}
