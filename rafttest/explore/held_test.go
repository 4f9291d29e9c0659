package explore

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/rafttest/explore/search"
)

// What a model says it keeps is about what it does.
func TestHeld(t *testing.T) {
	if raceEnabled {
		t.Skip("what is kept is another size under the race detector")
	}
	live := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for _, b := range []Bounds{smallest, {Members: 4, Spares: 1, Terms: 2, Messages: 3, Crashes: 1, Timeouts: 1, Led: true, WriteAtOnce: true, ApplyAtOnce: true,
		NoPreVote: true, NoCheckQuorum: true, Changes: someChanges}} {
		before := live()
		m := model(t, b)
		explored(t, m, search.Options{})
		kept := live() - before
		t.Logf("%d bytes are kept, and %d are said to be", kept, m.Held())
		require.InEpsilon(t, kept, m.Held(), 0.35)
		runtime.KeepAlive(m)
	}
}
