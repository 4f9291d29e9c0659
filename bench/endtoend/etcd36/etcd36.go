// Package etcd36 is go.etcd.io/raft/v3 v3.6 in a host made for it, as a [load.Library]: the library is a core, and what is
// around it is the user's to write. The host is what a careful user would write for speed: one loop for each replica, all
// proposals and messages that wait are taken at once, and a Ready has one write and one sync of the log.
package etcd36

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/quorate-raft/raft/bench/load"
)

// Library is etcd's raft v3.6 with its host.
var Library = load.Library{Name: "etcd36", Start: start}

type cluster struct {
	all   []*node
	wires []*wire
	syncs load.Syncs
}

func start(ctx context.Context, dir string) (_ load.Cluster, err error) {
	c := &cluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if c.wires, err = connect(load.Members); err != nil {
		return c, err
	}
	for i, w := range c.wires {
		at := filepath.Join(dir, fmt.Sprint(i+1))
		if err := os.MkdirAll(at, 0o755); err != nil {
			return c, err
		}
		n, err := newNode(uint64(i+1), at, w, &c.syncs)
		if err != nil {
			return c, err
		}
		c.all = append(c.all, n)
	}
	for !c.all[0].leads.Load() {
		select {
		case <-ctx.Done():
			return c, ctx.Err()
		case <-c.all[0].done:
			return c, c.all[0].err
		case <-time.After(time.Millisecond):
		}
	}
	return c, nil
}

// Write implements load.Cluster, as the following do. The first node campaigns at once, and leads.
func (c *cluster) Write(ctx context.Context, data []byte) error { return c.all[0].propose(ctx, data) }

func (c *cluster) Machines() []*load.Machine {
	var all []*load.Machine
	for _, n := range c.all {
		all = append(all, &n.machine)
	}
	return all
}

func (c *cluster) Syncs() (int64, bool) { return c.syncs.Count(), true }

func (c *cluster) Close() error {
	var errs []error
	for _, n := range c.all {
		n.stop()
	}
	// A loop may be writing to a wire, so these come later.
	for _, w := range c.wires {
		w.close()
	}
	for _, n := range c.all {
		errs = append(errs, n.err, n.log.close())
	}
	return errors.Join(errs...)
}
