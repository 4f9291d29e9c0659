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
	const interval, beats = 100 * time.Millisecond, 50
	a, b := newEndpoint(t, testConfig(1)), newEndpoint(t, testConfig(2))
	p := newProxy(t, b.Addr().String(), &link{rate: 1_000_000})
	a.group.SetPeer(2, p.addr())
	connected(t, a, b)

	ctx, cancel := context.WithCancel(t.Context())
	snapshot := make(chan error, 1)
	go func() { snapshot <- a.group.SendSnapshot(ctx, 2, nil, &patternReader{left: 1 << 30}) }()
	data := make([]byte, 1<<20)
	for i := range uint64(20) {
		a.group.Send([]raftpb.Message{appendOf(1, 2, i+1, data)})
	}
	sink := receive(t, b.sinks, "the snapshot")
	eventually(t, "the snapshot is under way", func() bool { return len(sink.bytes()) > 0 })

	var worst time.Duration
	appends, beat := 0, time.NewTicker(interval)
	defer beat.Stop()
	for round := uint64(1); round <= beats; round++ {
		<-beat.C
		sent := time.Now()
		a.group.Send([]raftpb.Message{heartbeat(1, 2, round)})
		for m := (*message)(nil); m == nil || m.Type != raftpb.MsgHeartbeat; {
			if m = receive(t, b.messages, "a heartbeat"); m.Type == raftpb.MsgApp {
				appends++
			}
		}
		worst = max(worst, time.Since(sent))
	}
	t.Logf("worst of %d heartbeats %v, beside %d appends of 1 MiB and %d KiB of a snapshot",
		beats, worst, appends, len(sink.bytes())>>10)
	require.Less(t, worst, interval)
	require.NotZero(t, a.Stats().Peers[0].Lanes[LaneLog].QueuedMessages, "the appends did not fill the link")
	cancel()
	require.ErrorIs(t, receive(t, snapshot, "the end"), context.Canceled)
}
