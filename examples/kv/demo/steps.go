package demo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/client"
	"github.com/quorate-raft/raft/rafttest/lincheck"
)

// The cast: three servers found the cluster, one joins, one takes a place.
const (
	founders    = 3
	joiner      = 4
	replacement = 5
)

const (
	// loaders write at a time while keys are loaded; the first few of them go on
	// afterwards, beside those who read and write what is recorded.
	loaders    = 64
	goOnWriter = 3
	readers    = 6
	// calm is how long clients go on undisturbed before and after something happens.
	calm = 700 * time.Millisecond
)

// step is one of the story. What it returns is said of it.
type step struct {
	title string
	do    func(ctx context.Context) (result string, err error)
}

// story returns the steps of the demo.
func (d *demo) story() []step {
	return []step{
		{"make a CA and certificates for mutual TLS", d.makeCertificates},
		{"start servers 1, 2 and 3", d.startServers},
		{fmt.Sprintf("load %d keys", d.config.Keys), d.load},
		{fmt.Sprintf("let %d clients read and write from here on", goOnWriter+readers), d.startTraffic},
		{"kill the leader with SIGKILL", d.killLeader},
		{"restart it", d.restart},
		{fmt.Sprintf("add server %d as a learner", joiner), d.join},
		{fmt.Sprintf("promote server %d to a voter", joiner), d.promote},
		{fmt.Sprintf("swap a voter for server %d by joint consensus", replacement), d.swap},
		{"read everything back", d.readBack},
		{"check the history for linearizability", d.check},
	}
}

// measured sets a time of the summary.
func (d *demo) measured(of *Duration, took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	*of = Duration(took)
}

func (d *demo) makeCertificates(context.Context) (string, error) {
	certs, err := makeCertificates(filepath.Join(d.dir, "certificates"), 1, 2, 3, joiner, replacement)
	d.cluster.certs = certs
	return "", err
}

func (d *demo) startServers(ctx context.Context) (string, error) {
	if err := d.cluster.found(ctx, founders); err != nil {
		return "", err
	}
	st, err := d.leader(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("server %d leads in term %d", st.ID, st.Term), nil
}

// leader returns the state of the leader.
func (d *demo) leader(ctx context.Context) (*api.Status, error) {
	var leader *api.Status
	err := d.cluster.await(ctx, "a leader", func(ctx context.Context) (err error) {
		leader, err = d.cluster.leading(ctx)
		return err
	})
	return leader, err
}

// newClient returns a client that prefers one of the servers that run.
func (d *demo) newClient(prefer int) (*client.Client, error) {
	var urls []string
	for _, v := range d.cluster.views() {
		if v.State == stateRunning {
			urls = append(urls, v.Client)
		}
	}
	prefer %= len(urls)
	c, err := client.New(client.Config{Endpoints: append(urls[prefer:], urls[:prefer]...), Timeout: tryTimeout})
	if err == nil {
		d.clients = append(d.clients, c)
	}
	return c, err
}

func (d *demo) load(ctx context.Context) (string, error) {
	for i := range founders {
		if _, err := d.newClient(i); err != nil {
			return "", err
		}
	}
	for i := range loaders {
		w := &writer{session: d.clients[i%founders].Session(), ledger: d.ledger, meter: d.meter}
		for key := i; key < d.config.Keys; key += loaders {
			w.keys = append(w.keys, key)
		}
		d.writers = append(d.writers, w)
	}
	began := d.now()
	err := d.loadAll(ctx)
	took := d.now() - began
	if err != nil {
		return "", err
	}
	d.measured(&d.summary.Loading, took)
	d.mu.Lock()
	d.summary.Keys = d.config.Keys
	d.mu.Unlock()
	return fmt.Sprintf("%.0f/s", float64(d.config.Keys)/took.Seconds()), nil
}

// loadAll has all writers load their keys, and shows how far that is.
func (d *demo) loadAll(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var loaded atomic.Int64
	results := make(chan error, len(d.writers))
	for _, w := range d.writers {
		go func() { results <- w.load(ctx, &d.values, &loaded) }()
	}
	show := time.NewTicker(drawPause)
	defer show.Stop()
	var failed error
	for ended := 0; ended < len(d.writers); {
		select {
		case err := <-results:
			ended++
			if err != nil && failed == nil {
				failed = err
				cancel()
			}
		case <-show.C:
			n := int(loaded.Load())
			d.printer.progress(fmt.Sprintf("%d of %d keys", n, d.config.Keys), n, d.config.Keys)
			d.mu.Lock()
			d.loading = progress{n, d.config.Keys}
			d.mu.Unlock()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.loading = progress{int(loaded.Load()), d.config.Keys}
	return failed
}

// startTraffic starts clients that go on until stopTraffic.
func (d *demo) startTraffic(ctx context.Context) (string, error) {
	var running sync.WaitGroup
	stop := make(chan struct{})
	d.stop = sync.OnceFunc(func() {
		close(stop)
		running.Wait()
	})
	for i := range readers {
		c, err := d.newClient(i)
		if err != nil {
			return "", err
		}
		r := &reader{id: uint64(i + 1), client: c, session: c.Session(), history: d.history}
		running.Go(func() { r.goOn(ctx, stop) })
	}
	for _, w := range d.writers[:goOnWriter] {
		running.Go(func() { w.goOn(ctx, &d.values, stop) })
	}
	pause(ctx, calm)
	return "", nil
}

func (d *demo) killLeader(ctx context.Context) (string, error) {
	leader, err := d.leader(ctx)
	if err != nil {
		return "", err
	}
	d.victim = leader.ID
	killed := d.now()
	d.cluster.kill(d.victim)
	next, err := d.leader(ctx)
	if err != nil {
		return "", err
	}
	elected := d.now()
	err = d.cluster.await(ctx, "writes to be acknowledged again", func(context.Context) error {
		if d.meter.acknowledged(elected) == 0 {
			return errors.New("none was")
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	pause(ctx, calm) // so that who waits the longest is counted
	gap, longest := d.meter.longestGap(killed, d.now()), d.meter.longestWait(killed, d.now())
	d.measured(&d.summary.WithoutWrites, gap)
	d.measured(&d.summary.LongestWait, longest)
	return fmt.Sprintf("server %d died, server %d leads in term %d; %s without writes", d.victim, next.ID, next.Term, rounded(gap)), nil
}

func (d *demo) restart(ctx context.Context) (string, error) {
	began := d.now()
	if err := d.cluster.restart(ctx, d.victim); err != nil {
		return "", err
	}
	d.measured(&d.summary.Restart, d.now()-began)
	return fmt.Sprintf("server %d has caught up", d.victim), nil
}

func (d *demo) join(ctx context.Context) (string, error) {
	began := d.now()
	if err := d.cluster.join(ctx, joiner); err != nil {
		return "", err
	}
	d.measured(&d.summary.Join, d.now()-began)
	pause(ctx, calm)
	return "it has caught up", nil
}

func (d *demo) promote(ctx context.Context) (string, error) {
	began := d.now()
	err := d.cluster.change(ctx, "the promotion", func(m *api.Membership) bool { return isVoter(m, joiner) },
		func(ctx context.Context) error {
			_, err := d.cluster.asking().Promote(ctx, joiner)
			return err
		})
	if err != nil {
		return "", err
	}
	d.measured(&d.summary.Promotion, d.now()-began)
	pause(ctx, calm)
	return d.voters(ctx)
}

func isVoter(m *api.Membership, id uint64) bool {
	member := m.Find(id)
	return member != nil && member.Role == api.RoleVoter
}

// voters says who the voters are.
func (d *demo) voters(ctx context.Context) (string, error) {
	st, err := d.leader(ctx)
	if err != nil {
		return "", err
	}
	return "the voters are " + list(membersWith(&st.Membership, api.RoleVoter)), nil
}

func membersWith(m *api.Membership, roles ...string) []uint64 {
	ids := []uint64{}
	for _, member := range m.Members {
		if slices.Contains(roles, member.Role) {
			ids = append(ids, member.ID)
		}
	}
	return ids
}

func (d *demo) swap(ctx context.Context) (string, error) {
	if err := d.cluster.join(ctx, replacement); err != nil {
		return "", err
	}
	leader, err := d.leader(ctx)
	if err != nil {
		return "", err
	}
	old := d.victim
	if old == leader.ID { // which is swapped out as well, but only after an election
		old = membersWith(&leader.Membership, api.RoleVoter)[0]
		if old == leader.ID {
			old = membersWith(&leader.Membership, api.RoleVoter)[1]
		}
	}
	d.cluster.letGo(old)
	stopLooking := d.monitor.closely(ctx, leader.ID)
	began := d.now()
	err = d.cluster.change(ctx, "the swap", func(m *api.Membership) bool { return isVoter(m, replacement) && m.Find(old) == nil },
		func(ctx context.Context) error {
			_, err := d.cluster.asking().Replace(ctx, old, replacement)
			return err
		})
	took := d.now() - began
	stopLooking()
	if err != nil {
		return "", err
	}
	d.measured(&d.summary.Swap, took)
	d.mu.Lock()
	d.summary.JointSeen = d.monitor.sawJoint()
	d.mu.Unlock()
	if err := d.cluster.gone(ctx, old); err != nil {
		return "", err
	}
	now, err := d.voters(ctx)
	return fmt.Sprintf("server %d left; %s", old, now), err
}

func (d *demo) readBack(ctx context.Context) (string, error) {
	d.stop()
	st, err := d.leader(ctx)
	if err != nil {
		return "", err
	}
	members := membersWith(&st.Membership, api.RoleVoter, api.RoleLearner)
	lost, keys := []string{}, 0
	for n, id := range members {
		of, missing, err := readBack(ctx, st.Membership.Find(id).Client, id, d.ledger, d.history)
		if err != nil {
			return "", fmt.Errorf("from server %d: %w", id, err)
		}
		for _, what := range missing {
			lost = append(lost, fmt.Sprintf("server %d: %s", id, what))
		}
		keys = of
		d.printer.progress("read back", n+1, len(members))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.summary.ReadBack, d.summary.ReadFrom, d.summary.Lost = keys, members, lost
	return fmt.Sprintf("%d keys from each of %s, %d lost", keys, list(members), len(lost)), nil
}

func (d *demo) check(context.Context) (string, error) {
	ops := d.history.all()
	err := lincheck.Check(ops, 0)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.summary.Checked, d.summary.Linearizable = len(ops), err == nil
	if err != nil {
		d.summary.Violation = err.Error()
		return "NO", nil // the verdict says why
	}
	return fmt.Sprintf("yes, %d operations on %d registers", len(ops), d.history.lastKey()), nil
}
