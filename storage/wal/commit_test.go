package wal

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Who gets the turn after another wrote his batch passes it on: those who wait for the
// next batch would wait for ever.
func TestTurnIsPassedOn(t *testing.T) {
	e := open(t, small(newMemFS()))
	e.keeper.close()
	e.mu.Lock()
	mine, ticket := e.pending, e.pending.start
	e.flying = newBatch(0)
	e.mu.Unlock()
	woken := make(chan struct{})
	go func() {
		e.mu.Lock()
		e.await(ticket)
		e.mu.Unlock()
		close(woken)
	}()
	require.Eventually(t, func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return mine.waiters == 1
	}, waitFor, tick)
	e.mu.Lock()
	// His batch was written, and one waits for the next.
	e.flying, e.pending = nil, newBatch(ticket+blockSize)
	e.pending.waiters = 1
	e.turn <- struct{}{}
	e.mu.Unlock()
	<-woken
	require.Len(t, e.turn, 1)
	e.mu.Lock()
	e.pending = mine
	e.mu.Unlock()
	require.NoError(t, e.Close())
}
