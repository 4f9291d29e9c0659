package explore

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest/explore/search"
	"github.com/quorate-raft/raft/rafttest/spacetime"
	"github.com/quorate-raft/raft/rafttest/trace"
)

// hasty is a model whose hosts acknowledge before they write, so that a leader is elected by votes that a crash may take back.
func hasty(t *testing.T) *Model {
	b := smallest
	b.Terms = 1
	m := model(t, b)
	m.settings.hasty = true
	return m
}

// A violation comes with a shortest path to it, which reads as a run does, and is the same whoever finds it.
func TestShortestPath(t *testing.T) {
	var first []string
	for _, workers := range []int{1, 3} {
		m := hasty(t)
		r, err := search.Run(context.Background(), m, search.Options{Workers: workers})
		require.NoError(t, err)
		require.NotNil(t, r.Violation)
		var v *Violation
		require.True(t, errors.As(r.Violation, &v))
		require.Equal(t, "S12", v.Rule)
		events, err := m.Events(r.Violation)
		require.NoError(t, err)
		var lines []string
		for i := range events {
			lines = append(lines, events[i].String())
		}
		if first == nil {
			first = lines
		}
		require.Equal(t, first, lines)
		require.Equal(t, trace.Violation, events[len(events)-1].Kind)
		require.EqualValues(t, len(r.Violation.Actions), events[len(events)-1].Step)
		var page bytes.Buffer
		require.NoError(t, spacetime.Write(&page, spacetime.Run{Title: "test", Events: events}))
	}
	// Stand, be granted a vote, and write the own one; in which order the last two come is all the same.
	last := first[len(first)-1]
	require.Regexp(t, `^4 0\.004000 \d violation "S12: leads term 2 without the votes of a majority of \(1 2\)"$`, last)
	for _, what := range []string{"fault \"the time of ", "role Candidate term=2", "send MsgVote ", "deliver MsgVoteResp", "sync index=1", "role Leader lead="} {
		require.True(t, slices.ContainsFunc(first, func(s string) bool { return strings.Contains(s, what) }), what)
	}
}

// The model keeps what the search is promised.
func TestLaws(t *testing.T) {
	for _, b := range []Bounds{smallest, {
		Members: 3, Spares: 1, Terms: 1, Messages: 3, Beats: 1, Compactions: 1, Duplicates: 1, Crashes: 1, Changes: someChanges,
	}, {
		Members: 3, Terms: 2, Messages: 3, Reads: 2, Crashes: 1, Campaigns: 1, Transfers: 1, Ticks: 8, Led: true, Changes: someChanges,
	}} {
		require.NoError(t, search.CheckLaws(model(t, b), 2000))
	}
}

// A search that ended early goes on where it was, with the parts that its states are made of.
func TestResume(t *testing.T) {
	whole := explored(t, model(t, smallest), search.Options{})
	dir := t.TempDir()
	some, err := search.Run(context.Background(), model(t, smallest), search.Options{Dir: dir, MaxDepth: whole.Depth / 2})
	require.NoError(t, err)
	require.False(t, some.Complete)
	m := model(t, smallest)
	rest := explored(t, m, search.Options{Dir: dir})
	require.Equal(t, whole.States, rest.States)
	require.Equal(t, whole.Layers, rest.Layers)
	_, err = search.Run(context.Background(), model(t, Bounds{Members: 2, Terms: 1, Messages: 3}), search.Options{Dir: dir})
	require.ErrorIs(t, err, search.ErrOtherSearch)
	b := Bounds{Members: 2, Terms: 1, Messages: 3, Changes: []pb.ConfChangeV2{change(remove(1))}}
	other := b
	other.Changes = []pb.ConfChangeV2{change(remove(2))}
	require.NotEqual(t, model(t, b).Identity(), model(t, other).Identity(), "models differ by which changes there are, not only by how many")
}

// Bounds that make no sense are refused.
func TestBounds(t *testing.T) {
	for text, change := range map[string]func(b *Bounds){
		"members (0)":        func(b *Bounds) { b.Members = 0 },
		"members (6)":        func(b *Bounds) { b.Members = 6 },
		"learners (-1)":      func(b *Bounds) { b.Learners = -1 },
		"no voters":          func(b *Bounds) { b.Learners, b.Spares = 1, 1 },
		"terms (0)":          func(b *Bounds) { b.Terms = 0 },
		"terms (101)":        func(b *Bounds) { b.Terms = 101 },
		"messages (0)":       func(b *Bounds) { b.Messages = 0 },
		"messages (33)":      func(b *Bounds) { b.Messages = 33 },
		"can be renamed":     func(b *Bounds) { b.Renamed, b.Changes = true, someChanges },
		"9 changes":          func(b *Bounds) { b.Changes = make([]pb.ConfChangeV2, 9) },
		"crashes (256)":      func(b *Bounds) { b.Crashes = 256 },
		"reads (-1)":         func(b *Bounds) { b.Reads = -1 },
		"comes by itself":    func(b *Bounds) { b.Ticks, b.Beats = 1, 1 },
		"need quorum checks": func(b *Bounds) { b.Ticks, b.NoCheckQuorum = 1, true },
		"how long they wait": func(b *Bounds) { b.Ticks, b.Renamed = 1, true },
		"(0) must be between 1 and 100\nmessages (0)": func(b *Bounds) { b.Terms, b.Messages = 0, 0 },
	} {
		b := Bounds{Members: 2, Terms: 1, Messages: 2}
		_, err := NewModel(b)
		require.NoError(t, err)
		change(&b)
		_, err = NewModel(b)
		require.ErrorContains(t, err, text)
	}
	require.Equal(t, "2 members, 2 terms, 2 entries, 3 messages at a time, 1 proposals, no pre-votes, no quorum checks, applied at once",
		smallest.String())
}

var someChanges = []pb.ConfChangeV2{change(add(3)), change(remove(1))}
