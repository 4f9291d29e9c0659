package transport

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/raftpb"
)

// Neither a snapshot nor bulk appends delay a heartbeat by a heartbeat interval, on
// a link of 1 MB/s that both fill: raft would otherwise lose its leader whenever a
// follower has to catch up.
func TestHeartbeatsOnSlowLink(t *testing.T) {
	const interval, beats = 100 * time.Millisecond, 25
	a, b := newEndpoint(t, testConfig(1)), newEndpoint(t, testConfig(2))
	p := newProxy(t, b.Addr().String(), &link{rate: 1_000_000})
	a.group.SetPeer(2, p.addr())
	connected(t, a, b)

	ctx, cancel := context.WithCancel(t.Context())
	snapshot := make(chan error, 1)
	go func() { snapshot <- a.group.SendSnapshot(ctx, 2, nil, &patternReader{left: 1 << 30}) }()
	data := make([]byte, 1<<20)
	for i := range uint64(40) {
		a.group.Send([]raftpb.Message{appendOf(1, 2, i+1, data)})
	}
	sink := receive(t, b.sinks, "the snapshot")
	eventually(t, "the snapshot is under way", func() bool { return sink.size() > 0 })

	// A busy machine may hold up a beat by itself. It does not do so each time; a
	// queue in the way would.
	worst := interval
	for try := 1; try <= 3 && worst >= interval; try++ {
		worst = 0
		for round := range uint64(beats) {
			worst = max(worst, beat(t, a, b, interval, round))
		}
		t.Logf("worst of %d heartbeats %v", beats, worst)
	}
	require.Less(t, worst, interval)
	t.Logf("meanwhile %d KiB of appends and %d KiB of a snapshot", a.Stats().Peers[0].Lanes[LaneLog].SentBytes>>10, sink.size()>>10)
	require.NotZero(t, a.Stats().Peers[0].Lanes[LaneLog].QueuedMessages, "the appends did not fill the link")
	cancel()
	require.ErrorIs(t, receive(t, snapshot, "the end"), context.Canceled)
}

// beat sends a heartbeat, waits for the rest of the interval, and returns how long
// the heartbeat took.
func beat(t *testing.T, a, b *endpoint, interval time.Duration, round uint64) time.Duration {
	next := time.After(interval)
	sent := time.Now()
	a.group.Send([]raftpb.Message{heartbeat(1, 2, round)})
	for receive(t, b.messages, "a heartbeat").Type != raftpb.MsgHeartbeat {
		// appends are as late as they are
	}
	took := time.Since(sent)
	<-next
	return took
}
