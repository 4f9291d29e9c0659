package replica

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func watch(ws *watchers, room int) *Watcher {
	w := ws.newWatcher(room)
	ws.add(w)
	return w
}

// A watcher that is slow loses the oldest events, never holds up the replica, and is
// told how many it missed, whatever came between.
func TestWatcherMisses(t *testing.T) {
	var ws watchers
	w := watch(&ws, 2)
	for i := range uint64(7) {
		ws.publish(Event{Kind: SnapshotTaken, Index: i})
	}
	missed, last := 0, uint64(0)
	for range 2 {
		e := <-w.C
		missed += e.Missed
		last = e.Index
	}
	require.Equal(t, 5, missed)
	require.EqualValues(t, 6, last)
	ws.publish(Event{Kind: SnapshotTaken, Index: 8})
	require.Zero(t, (<-w.C).Missed)
}

// After Stopped nothing comes any more, and watching something that has stopped ends
// at once.
func TestWatcherEnds(t *testing.T) {
	var ws watchers
	early, closed := watch(&ws, 1), watch(&ws, 1)
	closed.Close()
	closed.Close()
	_, ok := <-closed.C
	require.False(t, ok)
	ws.publish(Event{Kind: Stopped})
	require.Equal(t, Stopped, (<-early.C).Kind)
	_, ok = <-early.C
	require.False(t, ok)
	early.Close()
	_, ok = <-watch(&ws, 1).C
	require.False(t, ok)
}
