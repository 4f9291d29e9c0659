package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/bench/core"
	"github.com/quorate-raft/raft/bench/v37/etcd37"
)

// Every row does what it says: it counts what was applied.
func TestRows(t *testing.T) {
	for _, row := range core.Rows() {
		t.Run(row.Key, func(t *testing.T) {
			work, err := core.NewWork(etcd37.Library{}, row.Key)
			require.NoError(t, err)
			require.NoError(t, core.Once(work, 2))
		})
	}
}
