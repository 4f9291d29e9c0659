package explore

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/rafttest/explore/search"
)

func TestTiny(t *testing.T) {
	for _, b := range []Bounds{
		{Members: 1, Terms: 2, Messages: 2, Proposals: 1, Crashes: 1},
		{Members: 2, Terms: 1, Messages: 2, Proposals: 1, NoPreVote: true, NoCheckQuorum: true},
		{Members: 2, Terms: 1, Messages: 3, Proposals: 1},
		{Members: 2, Terms: 2, Messages: 3, Proposals: 1, Crashes: 1, Renamed: true},
		{Members: 2, Terms: 2, Messages: 3, Proposals: 1, Crashes: 1},
	} {
		m, err := NewModel(b)
		require.NoError(t, err)
		start := time.Now()
		r, err := search.Run(context.Background(), m, search.Options{MaxStates: 3000000})
		require.NoError(t, err)
		fmt.Printf("%+v\n%d states %d transitions depth %d in %v; members %d messages %d ghosts %d moves %d\n", b, r.States, r.Transitions, r.Depth, time.Since(start), m.members.len(), m.messages.len(), m.ghosts.len(), m.moves.len())
		if r.Violation != nil {
			fmt.Printf("VIOLATION %+v\n", r.Violation)
			t.FailNow()
		}
	}
}
