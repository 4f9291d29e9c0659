//go:build unix

package processtest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/rafttest/lincheck"
)

// settings returns the seed and how long faults are made.
func settings(t *testing.T) (seed uint64, duration time.Duration) {
	seed, duration = rand.Uint64N(1_000_000), 20*time.Second
	var err error
	if text := os.Getenv("PROCESS_SEED"); text != "" {
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "PROCESS_SEED")
	}
	if text := os.Getenv("PROCESS_TIME"); text != "" {
		duration, err = time.ParseDuration(text)
		require.NoError(t, err, "PROCESS_TIME")
	}
	return seed, duration
}

// Nothing acknowledged is lost, and clients see one register for each key, whatever happens
// to the servers and to the network between them; and when that ends, all is well within a
// bound. See the documentation of the package.
func TestChaos(t *testing.T) {
	t.Parallel()
	seed, duration := settings(t)
	c := startCluster(t, 3)
	n := newNemesis(c)
	r := rand.New(rand.NewPCG(seed, 0))
	processes, network := n.processSteps(), n.networkSteps()
	rounds := 2 + int(duration/(5*time.Second))
	processPlan := plan(r, slices.Collect(maps.Keys(processes)), rounds, 800*time.Millisecond, 600*time.Millisecond)
	networkPlan := plan(r, slices.Collect(maps.Keys(network)), rounds, 1500*time.Millisecond, 1500*time.Millisecond)
	t.Logf("PROCESS_SEED=%d PROCESS_TIME=%v, ticks of %v", seed, duration, tick)
	t.Logf("processes: %v", processPlan[:min(len(processPlan), 40)])
	t.Logf("network: %v", networkPlan[:min(len(networkPlan), 40)])

	w := newWorkload(c)
	var workers, watches, lanes sync.WaitGroup
	working, rest := context.WithCancel(context.Background())
	defer workers.Wait()
	defer rest()
	ctx, cancel := context.WithTimeout(context.Background(), duration)
	defer cancel()
	watching, endWatch := context.WithCancel(context.Background())
	defer watches.Wait()
	defer endWatch()
	watch := w.watch(watching, &watches)
	workers.Go(func() { w.run(working, 6, seed) })
	lanes.Go(func() { n.run(ctx, processPlan, processes) })
	lanes.Go(func() { n.run(ctx, networkPlan, network) })
	lanes.Wait()
	if t.Failed() {
		return
	}
	acked := w.h.acknowledged()

	// Everything is healed, so that writes go on.
	eventually(t, patience, "writes go on", func() error {
		if more := w.h.acknowledged() - acked; more < 20 {
			return fmt.Errorf("%d writes since", more)
		}
		return nil
	})
	rest()
	workers.Wait()
	w.readAll()
	entries := c.awaitAgreement()
	w.compare(entries)
	watch.awaitCopy(entries)
	endWatch()
	watches.Wait()

	require.NoError(t, w.h.check())
	forgotten, lost, ok := forget(w.h.ops, r)
	require.True(t, ok, "no write was read")
	require.Error(t, checkLinearizable(forgotten), "it is not noticed that a write is lost: %v", lost)
	t.Logf("%d events watched, begun anew %d times", watch.events, watch.compacted)
	report(t, n, w, duration)
}

// readAll reads every key that was ever used, all of which a quorum that lives answers at once.
func (w *workload) readAll() {
	keys := make(chan uint64)
	var readers sync.WaitGroup
	ctx, cancel := within(patience)
	defer cancel()
	for i := range 8 {
		readers.Go(func() {
			r := &worker{workload: w, id: uint64(100 + i), cl: w.c.newClient()}
			defer r.cl.Close()
			for key := range keys {
				r.read(ctx, &register{key: key}, api.Linearizable)
			}
		})
	}
	for _, key := range w.h.keys() {
		keys <- key
	}
	close(keys)
	readers.Wait()
	require.NoError(w.t, ctx.Err(), "reading all keys took too long")
	for _, o := range w.h.ops[len(w.h.ops)-len(w.h.keys()):] {
		require.Equal(w.t, lincheck.OK, o.Outcome, "%v", o)
	}
}

// compare compares what servers have in the end with what clients were told last.
func (w *workload) compare(entries []api.Entry) {
	w.t.Helper()
	want := map[string]string{}
	for _, o := range w.h.ops[len(w.h.ops)-len(w.h.keys()):] {
		if o.Result != 0 {
			want[string(keyName(o.Key))] = string(number(o.Result))
		}
	}
	has := map[string]string{}
	for _, e := range entries {
		has[string(e.Key)] = string(e.Value)
	}
	require.Equal(w.t, want, has)
}

// report prints what was done and seen, and requires of a long run that it was all of it.
func report(t *testing.T, n *nemesis, w *workload, duration time.Duration) {
	marks := maps.Clone(n.done)
	marks["snapshot received"] = n.c.logged("restored a snapshot")
	marks["unknown outcome"] = w.h.counts[lincheck.Unknown]
	marks["not applied"] = w.h.counts[lincheck.Failed]
	var text string
	for _, name := range slices.Sorted(maps.Keys(marks)) {
		text += fmt.Sprintf("\n%6d %s", marks[name], name)
	}
	t.Logf("%d operations, %d writes acknowledged, %d keys:%s", len(w.h.ops), w.h.acked, len(w.h.keys()), text)
	require.Greater(t, w.h.acked, int(duration/time.Second)*10, "writes hardly went on")
	if duration < 2*time.Minute {
		return
	}
	for name := range n.processSteps() {
		require.NotZero(t, marks[name], name)
	}
	for name := range n.networkSteps() {
		require.NotZero(t, marks[name], name)
	}
	// Hardly a write is certain not to be applied: who waits for a leader has been sent.
	for _, name := range []string{"snapshot received", "unknown outcome"} {
		require.NotZero(t, marks[name], name)
	}
}
