package ours

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/bench/load"
)

// Every write that was acknowledged is applied on every member, with each storage.
func TestSample(t *testing.T) {
	for _, lib := range Libraries() {
		s, err := load.Measure(t.Context(), lib, load.Options{Writers: 4, Size: 128, Span: 200 * time.Millisecond, Dir: t.TempDir()})
		require.NoError(t, err, lib.Name)
		require.Positive(t, s.Syncs, lib.Name)
	}
}
