package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// local is a cluster that applies on all machines at once, but for what it is told to do wrong.
type local struct {
	mu       sync.Mutex
	machines [Members]Machine
	lose     bool // a member misses the writes
	swap     bool // a member applies pairs in another order
	held     []byte
	fail     error
}

func (c *local) Write(_ context.Context, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	time.Sleep(100 * time.Microsecond)
	for i := range c.machines {
		switch {
		case i == 2 && c.lose:
		case i == 2 && c.swap && c.held == nil:
			c.held = data
		case i == 2 && c.swap:
			c.machines[i].Apply(data)
			c.machines[i].Apply(c.held)
			c.held = nil
		default:
			c.machines[i].Apply(data)
		}
	}
	return c.fail
}

func (c *local) Machines() []*Machine {
	return []*Machine{&c.machines[0], &c.machines[1], &c.machines[2]}
}
func (c *local) Syncs() (int64, bool) { return 0, false }
func (c *local) Close() error         { return nil }

func (c *local) library() Library {
	return Library{Name: "local", Start: func(context.Context, string) (Cluster, error) { return c, nil }}
}

func options(t *testing.T) Options {
	return Options{Writers: 2, Size: 16, Warm: time.Millisecond, Span: 30 * time.Millisecond, Dir: t.TempDir()}
}

func TestMeasure(t *testing.T) {
	s, err := Measure(t.Context(), (&local{}).library(), options(t))
	require.NoError(t, err)
	require.Positive(t, s.Rate)
	require.Less(t, s.Rate, 2e4, "no more writes than there is time for")
	require.GreaterOrEqual(t, s.P50, 100*time.Microsecond)
	require.GreaterOrEqual(t, s.P99, s.P50)
	require.Positive(t, s.CPU)
	require.Equal(t, -1.0, s.Syncs, "they are not counted")
	require.Positive(t, s.Floor.Write())
}

// A write that fails ends the measurement with its error.
func TestFailedWrite(t *testing.T) {
	full := errors.New("full")
	_, err := Measure(t.Context(), (&local{fail: full}).library(), options(t))
	require.ErrorIs(t, err, full)
}

// Members that did not apply the same are an error, however fast they were.
func TestMembersThatDiffer(t *testing.T) {
	c := &local{lose: true}
	require.NoError(t, c.Write(t.Context(), make([]byte, 16)))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, await(ctx, c.Machines(), 1), "applied [1 1 0]")
	require.ErrorContains(t, await(t.Context(), c.Machines(), 0), "applied [1 1 0]", "more than was acknowledged")

	c = &local{swap: true}
	for i := range 2 {
		require.NoError(t, c.Write(t.Context(), bytes.Repeat([]byte{byte(i)}, 16)))
	}
	require.ErrorContains(t, await(t.Context(), c.Machines(), 2), "order")
}

// A machine is what the snapshot of another was.
func TestSnapshot(t *testing.T) {
	var a, b Machine
	a.Apply([]byte("12345678"))
	require.NoError(t, b.Restore(bytes.NewReader(a.Snapshot())))
	require.EqualValues(t, 1, b.Applied())
	require.Equal(t, a.Sum(), b.Sum())
	require.Error(t, b.Restore(bytes.NewReader(nil)))
}

func TestSampleAsJSON(t *testing.T) {
	var out bytes.Buffer
	args := []string{"-lib", "local", "-writers", "1", "-time", "20ms", "-warm", "0s", "-dir", t.TempDir(), "-cpuprofile", t.TempDir() + "/cpu"}
	require.NoError(t, Main(t.Context(), &out, args, (&local{}).library()))
	var s Sample
	require.NoError(t, json.Unmarshal(out.Bytes(), &s))
	require.Positive(t, s.Rate)
	for _, bad := range [][]string{{"-lib", "other"}, {"-writers", "0"}, {"-size", "7"}, {"-time", "0s"}} {
		require.Error(t, Main(t.Context(), &out, bad, (&local{}).library()), "%v", bad)
	}
}

func TestQuantile(t *testing.T) {
	var all []time.Duration
	for i := range 100 {
		all = append(all, time.Duration(i))
	}
	require.EqualValues(t, 50, quantile(all, 0.5))
	require.EqualValues(t, 99, quantile(all, 0.99))
	require.EqualValues(t, 0, quantile(all[:1], 0.99))
	require.EqualValues(t, 0, quantile(nil, 0.5))
}
