package explore

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/rafttest/explore/search"
)

// BenchmarkExplore explores all that two members can do without pre-votes; states/s is of distinct ones.
func BenchmarkExplore(b *testing.B) {
	for b.Loop() {
		m, err := NewModel(Bounds{Members: 2, Terms: 2, Messages: 3, Proposals: 1, NoPreVote: true, NoCheckQuorum: true})
		require.NoError(b, err)
		r, err := search.Run(context.Background(), m, search.Options{})
		require.NoError(b, err)
		require.Nil(b, r.Violation)
		b.ReportMetric(float64(r.States)/r.Elapsed.Seconds(), "states/s")
		b.ReportMetric(float64(r.Transitions)/float64(r.States), "transitions/state")
	}
}
