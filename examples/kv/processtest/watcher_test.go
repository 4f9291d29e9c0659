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
	w  *workload
	cl *client.Client

	mu        sync.Mutex
	copy      map[string]api.Entry
	events    int
	compacted int // how often it had to begin anew
}

// watch watches until ctx ends, which has to be waited for.
func (w *workload) watch(ctx context.Context, running *sync.WaitGroup) *watcher {
	v := &watcher{w: w, cl: w.c.newClient(), copy: map[string]api.Entry{}}
	running.Go(func() {
		defer v.cl.Close()
		for since := uint64(0); ctx.Err() == nil; {
			err := v.cl.Watch(ctx, client.Keys{}, since, v.take)
			if !errors.Is(err, client.ErrCompacted) {
				if ctx.Err() == nil {
					w.t.Errorf("watching: %v", err)
				}
				return
			}
			if since, err = v.begin(ctx); err != nil && ctx.Err() == nil {
				w.t.Errorf("reading what to watch: %v", err)
				return
			}
		}
	})
	return v
}

// begin copies all keys anew and returns from where to watch.
func (v *watcher) begin(ctx context.Context) (since uint64, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.copy)
	v.compacted++
	for page, err := range v.cl.RangeAll(ctx, client.Keys{}, api.Linearizable) {
		if err != nil {
			return 0, err
		}
		if since == 0 {
			since = page.Revision
		}
		for _, e := range page.Entries {
			v.copy[string(e.Key)] = e
		}
	}
	return since, nil
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
