package bench

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/client"
)

// Config says what to measure. Zero fields mean the default that is named with each.
type Config struct {
	// Endpoints are the URLs of any servers. Required.
	Endpoints []string
	// TLS is for endpoints with https.
	TLS *tls.Config
	// Clients is how many there are at a time. Default 64.
	Clients int
	// Duration is for how long writes are measured, and then reads. Default 10 s. WarmUp
	// goes before each; default a fifth of that.
	Duration, WarmUp time.Duration
	// ValueBytes is the size of a value, Keys how many keys there are. Default 128 and
	// 10,000.
	ValueBytes, Keys int
	// Consistency is that of the reads. Default api.Linearizable.
	Consistency api.Consistency
	// Dir is a directory on the disk whose syncs are measured, by a file that is
	// removed again. Default: none is measured.
	Dir string
	// Prefix is what the keys begin with. Default "bench/".
	Prefix string
	// Progress is told what begins. Default: nobody is.
	Progress func(what string)
}

// ErrInvalidConfig matches every error of a Config that Run refuses.
var ErrInvalidConfig = errors.New("bench: invalid config")

func (c Config) withDefaults() Config {
	c.Clients = cmp.Or(c.Clients, 64)
	c.Duration = cmp.Or(c.Duration, 10*time.Second)
	c.WarmUp = cmp.Or(c.WarmUp, c.Duration/5)
	c.ValueBytes = cmp.Or(c.ValueBytes, 128)
	c.Keys = cmp.Or(c.Keys, 10_000)
	c.Consistency = cmp.Or(c.Consistency, api.Linearizable)
	c.Prefix = cmp.Or(c.Prefix, "bench/")
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return c
}

// Validate reports every fault of c, joined. It matches ErrInvalidConfig.
func (c *Config) Validate() error {
	d := c.withDefaults()
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(len(c.Endpoints) == 0, "Endpoints must be set")
	fault(d.Clients < 1 || d.Clients > maxClients, "Clients (%d) must be between 1 and %d", d.Clients, maxClients)
	fault(d.Duration < 0 || d.WarmUp < 0, "Duration (%v) and WarmUp (%v) must be positive", d.Duration, d.WarmUp)
	fault(d.ValueBytes < 0 || d.ValueBytes > maxValue, "ValueBytes (%d) must be between 1 and %d", d.ValueBytes, maxValue)
	fault(d.Keys < 1, "Keys (%d) must be at least 1", d.Keys)
	switch d.Consistency {
	case api.Linearizable, api.Lease, api.Stale:
	default:
		fault(true, "Consistency (%s) must be %s, %s or %s", d.Consistency, api.Linearizable, api.Lease, api.Stale)
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrInvalidConfig, errors.Join(faults...))
}

var errInterrupted = errors.New("bench: interrupted")

const (
	maxClients = 5000 // half of the sessions that a server remembers
	maxValue   = 1 << 20
)

// Result is what was measured.
type Result struct {
	Clients    int `json:"clients"`
	ValueBytes int `json:"value_bytes"`
	Servers    int `json:"servers"`
	// Writes and Reads are what clients saw.
	Writes Figures `json:"writes"`
	Reads  Figures `json:"reads"`
	// Consistency is that of the reads.
	Consistency api.Consistency `json:"consistency"`
	// Disk is the sync latency of Config.Dir, LogSyncs how long the servers' own writes of
	// the log took meanwhile. Nil if it was not measured.
	Disk     *Figures  `json:"disk,omitempty"`
	LogSyncs []LogSync `json:"log_syncs,omitempty"`
}

// Run measures. The error is a fault of the config, or why nothing could be measured:
// requests that fail are counted.
func Run(ctx context.Context, c Config) (r Result, err error) {
	if err := c.Validate(); err != nil {
		return r, err
	}
	c = c.withDefaults()
	r = Result{Clients: c.Clients, ValueBytes: c.ValueBytes, Consistency: c.Consistency}
	cl, err := client.New(client.Config{Endpoints: c.Endpoints, TLS: c.TLS})
	if err != nil {
		return r, err
	}
	defer cl.Close()
	if c.Dir != "" {
		// Before there is load: the question is what the disk could do.
		c.Progress("disk")
		disk, err := MeasureSyncs(ctx, c.Dir, diskTime(c.Duration))
		if err != nil {
			return r, err
		}
		r.Disk = &disk
	}
	asking, cancel := context.WithTimeout(ctx, requestTimeout)
	members, err := cl.Members(asking)
	cancel()
	if err != nil {
		return r, err
	}
	r.Servers = len(members.Members)
	run := &run{Config: c, client: cl}
	c.Progress("writes")
	before := scrapeSyncs(ctx, c.TLS, &members)
	if r.Writes, err = run.measure(ctx, run.writer); err != nil {
		return r, fmt.Errorf("writes: %w", err)
	}
	if ctx.Err() != nil {
		return r, errInterrupted
	}
	r.LogSyncs = syncsBetween(before, scrapeSyncs(ctx, c.TLS, &members))
	c.Progress("reads")
	if r.Reads, err = run.measure(ctx, run.reader); err != nil {
		return r, fmt.Errorf("reads: %w", err)
	}
	if ctx.Err() != nil {
		return r, errInterrupted
	}
	return r, nil
}

type run struct {
	Config
	client *client.Client
}

// request makes the n-th request of a client.
type request func(ctx context.Context, n int) error

// writer returns the requests of one client that writes.
func (r *run) writer(worker int) request {
	session := r.client.Session()
	value := make([]byte, r.ValueBytes)
	for i := range value {
		value[i] = 'a' + byte((worker+i)%26)
	}
	return func(ctx context.Context, n int) error {
		_, err := session.Put(ctx, r.key(worker, n), value)
		return err
	}
}

func (r *run) reader(worker int) request {
	return func(ctx context.Context, n int) error {
		_, err := r.client.Get(ctx, r.key(worker, n), r.Consistency)
		if errors.Is(err, client.ErrNotFound) {
			return nil // an answer like another: writes may not have come so far
		}
		return err
	}
}

// key is the key of a client's n-th request. Clients begin at different ones.
func (r *run) key(worker, n int) []byte {
	const stride = 7919 // a prime: neighbours are not asked for one after the other
	return fmt.Appendf(nil, "%s%08d", r.Prefix, (worker*r.Keys/r.Clients+n*stride)%r.Keys)
}

// requestTimeout bounds one request, with all its retries.
const requestTimeout = 10 * time.Second

// measure lets all clients make requests for as long as is to be measured.
func (r *run) measure(ctx context.Context, requests func(worker int) request) (Figures, error) {
	ctx, cancel := context.WithTimeout(ctx, r.WarmUp+r.Duration)
	defer cancel()
	began := time.Now()
	from, to := began.Add(r.WarmUp), began.Add(r.WarmUp+r.Duration)
	samples := make([]samples, r.Clients)
	var running sync.WaitGroup
	for worker := range r.Clients {
		do := requests(worker)
		running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				samples[worker].one(ctx, from, to, func(ctx context.Context) error { return do(ctx, n) })
			}
		})
	}
	running.Wait()
	f := merge(samples, r.Duration)
	if f.Count == 0 {
		for i := range samples {
			if samples[i].err != nil {
				return f, samples[i].err
			}
		}
		return f, fmt.Errorf("there was no answer in %v", r.Duration)
	}
	return f, nil
}

// samples is what one client measured.
type samples struct {
	took   []time.Duration
	failed int
	err    error // of the last that failed
}

// one makes and measures one request. What the end of the measurement cuts off counts
// neither as answered nor as failed.
func (s *samples) one(ctx context.Context, from, to time.Time, do func(context.Context) error) {
	limited, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	call := time.Now()
	err := do(limited)
	end := time.Now()
	switch {
	case end.Before(from) || end.After(to) || err != nil && ctx.Err() != nil:
	case err != nil:
		s.failed++
		s.err = err
	default:
		s.took = append(s.took, end.Sub(call))
	}
}
