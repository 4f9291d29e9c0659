package replica_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/replica"
)

// huge is a state machine whose state is size bytes that can be told from their
// place, which it makes up when it is asked for them.
type huge struct {
	*sums
	size     int64
	restored atomic.Int64
}

func (h *huge) Applied() (uint64, error) { return h.disk.applied, nil }
func (h *huge) Sync() error              { return durableSums{h.sums}.Sync() }

func (h *huge) View() (replica.View, error) { return hugeView(h.size), nil }

type hugeView int64

func (v hugeView) Close() error { return nil }

func (v hugeView) WriteTo(w io.Writer) (int64, error) {
	buf := make([]byte, 64<<10)
	for at := int64(0); at < int64(v); {
		n := min(int64(len(buf)), int64(v)-at)
		fillHuge(buf[:n], at)
		k, err := w.Write(buf[:n])
		if at += int64(k); err != nil {
			return at, err
		}
	}
	return int64(v), nil
}

func fillHuge(b []byte, at int64) {
	for i := 0; i+8 <= len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], uint64(at+int64(i))*0x9e3779b97f4a7c15)
	}
}

func (h *huge) Restore(index uint64, r io.Reader) error {
	buf, want := make([]byte, 64<<10), make([]byte, 64<<10)
	at := int64(0)
	for {
		n, err := io.ReadFull(r, buf)
		fillHuge(want[:n], at)
		if string(buf[:n]) != string(want[:n]) {
			return fmt.Errorf("the state differs after byte %d", at)
		}
		at += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return err
		}
	}
	h.mu.Lock()
	h.applied = index
	h.mu.Unlock()
	h.restored.Store(at)
	return nil
}

// peak runs f and returns by how much the memory in use grew meanwhile, at most.
func peak(f func()) uint64 {
	var before, m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	done, highest := make(chan struct{}), make(chan uint64)
	go func() {
		var high uint64
		for every := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-every.C:
				runtime.ReadMemStats(&m)
				high = max(high, m.HeapInuse+m.StackInuse)
			case <-done:
				every.Stop()
				highest <- high
				return
			}
		}
	}()
	f()
	close(done)
	start := before.HeapInuse + before.StackInuse
	return max(<-highest, start) - start
}

// A snapshot is never whole in memory on either side, whatever its size: both ends
// together, in one process, need less than 64 MiB more for one of any size.
// RAFT_SNAPSHOT_MIB=10240 makes it 10 GiB.
func TestHugeSnapshot(t *testing.T) {
	mib := int64(192)
	if text := os.Getenv("RAFT_SNAPSHOT_MIB"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		require.NoError(t, err)
		mib = n
	}
	peers := map[uint64]string{}
	var machines [4]*huge
	g := newTCPGroup(t, 1, func(c *replica.Config) {
		c.SnapshotEntries, c.TrailingEntries = 10, 2
		c.TickInterval = 50 * time.Millisecond
		h := &huge{sums: c.StateMachine.(*sums), size: mib << 20}
		h.disk = &sumsDisk{}
		c.StateMachine, machines[c.ID] = h, h
		if len(c.Bootstrap) == 0 {
			c.Peers = peers
		}
	})
	for i := range uint64(30) {
		g.must(g.leader(), i)
	}
	require.NoError(t, g.members[1].replica.TakeSnapshot(g.context()))
	peers[1] = g.members[1].listen
	m := g.add(2)
	g.start(2)
	began := time.Now()
	grew := peak(func() {
		_, err := g.leader().replica.ProposeConfChange(g.context(), pb.ConfChange{Type: pb.ConfChangeAddLearnerNode, NodeID: 2, Context: []byte(m.listen)})
		require.NoError(t, err)
		limit := 30*time.Second + time.Duration(mib)*200*time.Millisecond
		require.Eventually(t, func() bool { return machines[2].restored.Load() == mib<<20 }, limit, 10*time.Millisecond)
	})
	took := time.Since(began)
	t.Logf("%d MiB in %v (%.0f MiB/s), %.1f MiB more memory", mib, took, float64(mib)/took.Seconds(), float64(grew)/(1<<20))
	require.Less(t, grew, uint64(64<<20))
}
