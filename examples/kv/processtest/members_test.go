//go:build unix

package processtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// A server that was removed ends and says so, whether it runs then or learns of it when it
// comes back, and does not start again.
func TestRemovedServerEnds(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 4)
	n := newNemesis(c)
	cl := c.newClient()
	defer cl.Close()
	again := func(s *server) {
		for range 2 {
			end := run(t, s.command())
			require.Equal(t, 4, end.status, end.text)
			require.Contains(t, end.text, "it was removed from the cluster")
			require.Contains(t, end.text, "start it with an empty directory and --join")
		}
	}
	running := c.get(4)
	n.removeOne(running)
	again(running)

	down := c.get(1)
	n.awaitAcquainted(down)
	down.kill()
	n.insist("a server that is down is removed", func() error { return n.tryRemove(down.id) })
	c.drop(down)
	again(down)
	c.put(cl, "key", "value")
	c.awaitAgreement()
}

// A server that joins as a learner stays one, has the data, and is the same after a restart.
func TestLearnerStays(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	cl := c.newClient()
	defer cl.Close()
	for i := range 300 { // so many that it begins with a snapshot
		c.put(cl, fmt.Sprintf("key%d", i), "value")
	}
	learner := c.join("--as-learner")
	for range 2 {
		require.Len(t, c.awaitAgreement(), 300) // which knows of learners
		for began := time.Now(); time.Since(began) < 2*time.Second; time.Sleep(tick) {
			st, err := learner.status()
			require.NoError(t, err)
			require.Equal(t, api.RoleLearner, st.Role)
		}
		learner.terminate()
		learner.start()
		learner.awaitServing()
	}
	require.Equal(t, api.RoleLearner, c.membership().Find(learner.id).Role)
}

// A leader that is asked to end hands over first: writes go on after much less than an
// election timeout, which is what it takes after a kill.
func TestTerminatedLeaderHandsOver(t *testing.T) {
	t.Parallel()
	const timeout = 3 * time.Second // at least
	c := startCluster(t, 3, "--tick", "300ms")
	var gap time.Duration
	for range 3 { // a machine that stands still for so long may do so once
		if gap = gapAtHandOver(t, c); gap < timeout/3 {
			return
		}
		for _, s := range c.members() {
			t.Logf("after a gap of %v, the end of %s:\n%s", gap, s.logFile, tail(s.logFile, 25))
		}
	}
	t.Fatalf("no write for %v, where an election timeout is %v", gap, timeout)
}

// gapAtHandOver terminates the leader while others are asked to write, and returns the longest
// time between two writes.
func gapAtHandOver(t *testing.T, c *cluster) (gap time.Duration) {
	old := c.leader()
	urls := slices.DeleteFunc(c.urls(), func(url string) bool { return strings.HasSuffix(url, old.client) })
	var mu sync.Mutex
	var acked []time.Time
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for i := range urls {
		writers.Go(func() {
			cl := c.newClient(urls[i])
			defer cl.Close()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				c.put(cl, fmt.Sprintf("key%d", i), fmt.Sprint(n))
				mu.Lock()
				acked = append(acked, time.Now())
				mu.Unlock()
			}
		})
	}
	more := func(n int) {
		mu.Lock()
		before := len(acked)
		mu.Unlock()
		eventually(t, patience, "writes go on", func() error {
			mu.Lock()
			defer mu.Unlock()
			if len(acked) < before+n {
				return errors.New("they do not")
			}
			return nil
		})
	}
	more(20)
	old.terminate()
	more(20)
	close(stop)
	writers.Wait()
	for i := 1; i < len(acked); i++ {
		gap = max(gap, acked[i].Sub(acked[i-1]))
	}
	t.Logf("the longest time without a write is %v", gap)
	old.start()
	old.awaitServing()
	c.awaitAgreement()
	return gap
}
