package client

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// chaos makes faults at random: answers that get lost, refusals, servers that forget, and
// tries that are applied only later.
type chaos struct {
	c *cluster
	*rand.Rand
	late []func()
}

// fault is called with the cluster's mutex held.
func (x *chaos) fault(r *http.Request) fault {
	if len(x.late) > 0 && x.IntN(4) == 0 {
		i := x.IntN(len(x.late))
		go x.late[i]()
		x.late = append(x.late[:i], x.late[i+1:]...)
	}
	switch x.IntN(30) {
	case 0, 1, 2:
		return serveThenDrop
	case 3, 4:
		return drop
	case 5:
		return say(api.CodeUnavailable)
	case 6:
		return serveThenSay(api.CodeAmbiguous)
	case 7:
		return garbage(http.StatusOK, `{"revision":`)
	case 8:
		if x.IntN(4) == 0 {
			clear(x.c.clients)
		}
	case 9, 10:
		late := r.Clone(r.Context()) // keeps the body that the handler put there
		return func(_ http.ResponseWriter, _ *http.Request, serve http.Handler) {
			x.c.mu.Lock()
			defer x.c.mu.Unlock()
			x.late = append(x.late, func() { serve.ServeHTTP(httptest.NewRecorder(), late) })
			panic(http.ErrAbortHandler)
		}
	}
	return nil
}

// Whatever gets lost on the way, and however late it comes: a write that succeeded was applied
// once, one that is not applied never, and one that is ambiguous once at most.
func TestRandomFaults(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := newCluster(t, 3)
	x := &chaos{c: c, Rand: rand.New(rand.NewPCG(seed, 0))}
	c.mu.Lock()
	c.chance = x.fault
	c.mu.Unlock()
	client := c.client(nil)

	const sessions, each = 10, 25
	var mu sync.Mutex
	outcomes := map[string]error{}
	var all sync.WaitGroup
	for i := range sessions {
		s := client.Session()
		all.Go(func() {
			for j := range each {
				value := fmt.Sprintf("%d/%d", i, j)
				_, err := s.Put(within(t), []byte("key "+value), []byte(value))
				mu.Lock()
				outcomes[value] = err
				mu.Unlock()
			}
		})
	}
	all.Wait()
	c.mu.Lock()
	late := x.late
	c.chance = nil
	c.mu.Unlock()
	for _, f := range late {
		f()
	}

	require.Len(t, outcomes, sessions*each)
	acknowledged, ambiguous, total := 0, 0, 0
	for value, err := range outcomes {
		n := c.times(value)
		total += n
		switch {
		case err == nil:
			acknowledged++
			require.Equal(t, 1, n, "%s was acknowledged", value)
		case errors.Is(err, ErrAmbiguous):
			ambiguous += n
			require.LessOrEqual(t, n, 1, "%s was ambiguous", value)
			require.False(t, errors.Is(err, ErrNotApplied))
		default:
			require.ErrorIs(t, err, ErrNotApplied)
			require.Zero(t, n, "%s was not applied", value)
		}
	}
	require.Equal(t, total, acknowledged+ambiguous)
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Len(t, c.log, total)
	t.Logf("%d acknowledged of %d, in %d tries", acknowledged, len(outcomes), len(c.tries))
	require.Greater(t, acknowledged, len(outcomes)/2, "most faults can be overcome")
}
