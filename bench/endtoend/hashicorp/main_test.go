package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/bench/load"
)

// Every write that was acknowledged is applied on every member, in the same order.
func TestSample(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, load.Main(t.Context(), &out, []string{"-writers", "4", "-time", "200ms", "-warm", "50ms", "-dir", t.TempDir()}, library))
	var s load.Sample
	require.NoError(t, json.Unmarshal(out.Bytes(), &s))
	require.Positive(t, s.Rate)
	require.Positive(t, s.Syncs)
}
