//go:build unix

package processtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/client"
)

// watcher keeps a copy of all keys by watching them, wherever the servers are.
type watcher struct {
	w *workload

	mu   sync.Mutex
	copy map[string]api.Entry
	// since is up to where the copy is, but for what begin read beyond that.
	since     uint64
	events    int
	compacted int // how often it had to begin anew
}

// watch watches until ctx ends, which has to be waited for.
func (w *workload) watch(ctx context.Context, running *sync.WaitGroup) *watcher {
	v := &watcher{w: w, copy: map[string]api.Entry{}}
	running.Go(func() {
		for ctx.Err() == nil {
			if err := v.some(ctx); err != nil && ctx.Err() == nil {
				w.t.Errorf("watching: %v", err)
				return
			}
		}
	})
	return v
}

// some watches for a while. The next time it goes on where it was, with another client: one
// that stays with a server asks for the members so seldom that all others may be gone when
// that one goes.
func (v *watcher) some(ctx context.Context) error {
	cl := v.w.c.newClient()
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 40*electionTicks*tick)
	defer cancel()
	err := cl.Watch(ctx, client.Keys{}, v.since, v.take)
	if errors.Is(err, client.ErrCompacted) {
		err = v.begin(ctx, cl)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// begin copies all keys anew, and has them watched from then on.
func (v *watcher) begin(ctx context.Context, cl *client.Client) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	fresh, since := map[string]api.Entry{}, uint64(0)
	for page, err := range cl.RangeAll(ctx, client.Keys{}, api.Linearizable) {
		if err != nil {
			return err
		}
		if since == 0 {
			since = page.Revision
		}
		for _, e := range page.Entries {
			fresh[string(e.Key)] = e
		}
	}
	v.copy, v.since = fresh, since
	v.compacted++
	return nil
}

// take takes changes. What was written is a sighting.
func (v *watcher) take(changes api.Changes) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, e := range changes.Events {
		v.events++
		if e.Deleted {
			delete(v.copy, string(e.Key))
			continue
		}
		v.copy[string(e.Key)] = api.Entry{Key: e.Key, Value: e.Value, Revision: e.Revision}
		key, err := parse(e.Key[1:])
		value, err2 := parse(e.Value)
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		v.w.h.saw(sighting{key: key, value: value, revision: e.Revision, stale: true, at: v.w.h.now()})
	}
	v.since = changes.Through
	return nil
}

// awaitCopy waits until the copy is what the servers have: no change was missed.
func (v *watcher) awaitCopy(entries []api.Entry) {
	want := map[string]api.Entry{}
	for _, e := range entries {
		want[string(e.Key)] = e
	}
	eventually(v.w.t, patience, "the watch tells of all changes", func() error {
		v.mu.Lock()
		defer v.mu.Unlock()
		if !reflect.DeepEqual(want, v.copy) {
			return fmt.Errorf("it has %v, the servers have %v", v.copy, want)
		}
		return nil
	})
}
