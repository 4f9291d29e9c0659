//go:build unix

package processtest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/client"
	"github.com/quorate-raft/raft/rafttest/lincheck"
)

// openKeys are used at a time, each for keyOps operations or until keyUnknown of them have an
// unknown outcome: either makes the check of a key much longer.
const openKeys, keyOps, keyUnknown = 6, 40, 5

// opTime bounds an operation: its outcome is unknown if the cluster was away for so long.
var opTime = 12 * electionTicks * tick

// workload is clients that read and write.
type workload struct {
	c *cluster
	h *history
	t testing.TB

	mu   sync.Mutex
	open []*register
	next uint64 // key
}

// register is a key that is in use.
type register struct {
	key          uint64
	ops, unknown int
	// value and revision are what was seen last: a good guess for a compare-and-set.
	value, revision uint64
}

func newWorkload(c *cluster) *workload {
	w := &workload{c: c, h: newHistory(), t: c.t}
	for range openKeys {
		w.open = append(w.open, w.newRegister())
	}
	return w
}

func (w *workload) newRegister() *register {
	w.next++
	return &register{key: w.next}
}

// pick returns a key, and what is known of it.
func (w *workload) pick(r *rand.Rand) (reg *register, value, revision uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := r.IntN(len(w.open))
	reg = w.open[i]
	if reg.ops++; reg.ops >= keyOps || reg.unknown >= keyUnknown {
		w.open[i] = w.newRegister()
	}
	return reg, reg.value, reg.revision
}

// note takes what an operation told of a key.
func (w *workload) note(reg *register, o *lincheck.Op, value, revision uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.Outcome == lincheck.Unknown && o.Kind != lincheck.Read {
		reg.unknown++
	}
	if o.Outcome == lincheck.OK && revision > reg.revision {
		reg.value, reg.revision = value, revision
	}
}

// run works until ctx ends: workers read and write at the same time.
func (w *workload) run(ctx context.Context, workers int, seed uint64) {
	var all sync.WaitGroup
	for i := range workers {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() { (&worker{workload: w, id: uint64(i), r: r}).run(ctx) })
	}
	all.Wait()
}

// worker is one client, that does one thing at a time.
type worker struct {
	*workload
	id uint64
	r  *rand.Rand
	cl *client.Client
}

func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		// A client that lasts has to find servers that came later by itself; a new one
		// begins at another server.
		urls := w.c.urls()
		w.r.Shuffle(len(urls), func(i, j int) { urls[i], urls[j] = urls[j], urls[i] })
		w.cl = w.c.newClient(urls...)
		for ops := 50 + w.r.IntN(500); ops > 0 && ctx.Err() == nil; ops-- {
			w.step()
			select {
			case <-ctx.Done():
			case <-time.After(rand.N(4 * time.Millisecond)): // leaves the servers some of the machine
			}
		}
		w.cl.Close()
	}
}

func (w *worker) step() {
	limit := opTime
	if w.r.IntN(15) == 0 { // one that does not wait for the end of whatever goes on
		limit = tick/5 + time.Duration(w.r.Int64N(int64(electionTicks*tick)))
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	reg, value, revision := w.pick(w.r)
	switch n := w.r.IntN(100); {
	case n < 25:
		w.read(ctx, reg, api.Linearizable)
	case n < 35:
		w.read(ctx, reg, api.Lease)
	case n < 45:
		w.readStale(ctx, reg)
	case n < 47:
		w.readSeveral(ctx)
	case n < 70:
		w.write(ctx, reg, lincheck.Op{Kind: lincheck.Write, Value: w.h.newValue()}, api.Expect{})
	case n < 75:
		w.remove(ctx, reg)
	default:
		o := lincheck.Op{Kind: lincheck.CompareAndSwap, Value: w.h.newValue(), Expect: value}
		expect := api.Expect{Absent: true}
		if value != 0 && n%2 == 0 {
			expect = api.Expect{Value: number(value)}
		} else if value != 0 {
			expect = api.Expect{Revision: revision} // which wrote that value and no other
		}
		w.write(ctx, reg, o, expect)
	}
}

// begin fills in what is known of an operation before it is made.
func (w *worker) begin(reg *register, o lincheck.Op) lincheck.Op {
	o.Client, o.Key, o.Call = w.id, reg.key, w.h.now()
	return o
}

// end records an operation, and what it told of a value: nothing if the revision is 0.
func (w *worker) end(reg *register, o lincheck.Op, value, revision uint64) {
	w.h.add(o)
	w.note(reg, &o, value, revision)
	if revision != 0 && value != 0 {
		w.h.saw(sighting{key: reg.key, value: value, revision: revision, at: w.h.now()})
	}
}

// outcome returns what the error of a write says of it.
func outcome(err error) lincheck.Outcome {
	switch {
	case err == nil:
		return lincheck.OK
	case errors.Is(err, client.ErrAmbiguous):
		return lincheck.Unknown
	}
	return lincheck.Failed
}

// get reads a key: 0 and 0 if there is none.
func (w *worker) get(ctx context.Context, reg *register, consistency api.Consistency) (value, revision uint64, err error) {
	entry, err := w.cl.Get(ctx, keyName(reg.key), consistency)
	if errors.Is(err, client.ErrNotFound) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	if value, err = parse(entry.Value); err != nil {
		w.t.Errorf("key %d has the value %q", reg.key, entry.Value)
	}
	return value, entry.Revision, err
}

func (w *worker) read(ctx context.Context, reg *register, consistency api.Consistency) {
	o := w.begin(reg, lincheck.Op{Kind: lincheck.Read})
	value, revision, err := w.get(ctx, reg, consistency)
	o.Return, o.Result, o.Pos = w.h.now(), value, revision
	if err != nil {
		o.Outcome = lincheck.Unknown
	}
	w.end(reg, o, value, revision)
}

// readStale reads what may be old; it counts as a sighting alone.
func (w *worker) readStale(ctx context.Context, reg *register) {
	value, revision, err := w.get(ctx, reg, api.Stale)
	if err == nil && value != 0 {
		w.h.saw(sighting{key: reg.key, value: value, revision: revision, stale: true, at: w.h.now()})
	}
}

// readSeveral reads all keys in use at one moment.
func (w *worker) readSeveral(ctx context.Context) {
	w.mu.Lock()
	open := append([]*register(nil), w.open...)
	for _, reg := range open {
		reg.ops++
	}
	first, last := open[0].key, open[0].key
	for _, reg := range open {
		first, last = min(first, reg.key), max(last, reg.key)
	}
	w.mu.Unlock()
	o := lincheck.Op{Client: w.id, Kind: lincheck.Read, Call: w.h.now()}
	page, err := w.cl.Range(ctx, client.Keys{From: keyName(first), To: keyName(last + 1)}, 0, api.Linearizable)
	o.Return = w.h.now()
	if err != nil || page.Next != nil {
		return
	}
	found := map[string]api.Entry{}
	for _, e := range page.Entries {
		found[string(e.Key)] = e
	}
	for _, reg := range open {
		o.Key, o.Result, o.Pos = reg.key, 0, 0
		if e, ok := found[string(keyName(reg.key))]; ok {
			if o.Result, err = parse(e.Value); err != nil {
				w.t.Errorf("key %d has the value %q", reg.key, e.Value)
				return
			}
			o.Pos = e.Revision
		}
		w.end(reg, o, o.Result, o.Pos)
	}
}

// write makes a put, or a compare-and-set.
func (w *worker) write(ctx context.Context, reg *register, o lincheck.Op, expect api.Expect) {
	o = w.begin(reg, o)
	var err error
	if o.Kind == lincheck.Write {
		o.Pos, err = w.cl.Put(ctx, keyName(reg.key), number(o.Value))
	} else {
		o.Pos, err = w.cl.CompareAndSet(ctx, keyName(reg.key), expect, number(o.Value))
		o.Swapped = err == nil
	}
	o.Return, o.Outcome = w.h.now(), outcome(err)
	if errors.Is(err, client.ErrMismatch) {
		o.Outcome = lincheck.OK // it compared, and did not swap
	}
	w.end(reg, o, o.Value, o.Pos)
}

// remove deletes a key. If there was none, it has been a read that saw that.
func (w *worker) remove(ctx context.Context, reg *register) {
	o := w.begin(reg, lincheck.Op{Kind: lincheck.Write})
	result, err := w.cl.Delete(ctx, keyName(reg.key))
	o.Return, o.Outcome, o.Pos = w.h.now(), outcome(err), result.Revision
	if err == nil && !result.Existed {
		o.Kind = lincheck.Read
	}
	w.end(reg, o, 0, o.Pos)
}
