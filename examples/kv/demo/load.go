package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate-raft/raft/examples/kv/client"
)

// outcome is what a client knows of a write.
type outcome int

const (
	applied outcome = iota
	refused         // it has no effect and never will
	unknown
)

func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return applied
	case errors.Is(err, client.ErrNotApplied):
		return refused
	}
	return unknown
}

// callTimeout is after how long a client gives a call up. It is longer than an election
// takes, so that calls come to an end that is known, if late.
const callTimeout = 10 * time.Second

const loadPrefix = "load/"

func loadKey(i int) string { return fmt.Sprintf("%s%07d", loadPrefix, i) }

// ledger has what every loaded key must hold.
type ledger struct {
	mu   sync.Mutex
	keys []account
}

// account is what is known of a key.
type account struct {
	// acked is the value that was acknowledged last, "" if none was.
	acked string
	// maybe are values of later writes with an outcome that is not known. Those before
	// are settled: a key is always written by the same session (see client.Session).
	maybe []string
}

func newLedger(keys int) *ledger { return &ledger{keys: make([]account, keys)} }

// wrote takes the outcome of a write.
func (l *ledger) wrote(i int, value string, o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch o {
	case applied:
		l.keys[i] = account{acked: value}
	case unknown:
		l.keys[i].maybe = append(l.keys[i].maybe, value)
	}
}

// lost compares what was found with what must be there, and says for each key that holds
// something else what that is.
func (l *ledger) lost(found map[string]string) (lost []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, a := range l.keys {
		key := loadKey(i)
		value, ok := found[key]
		switch {
		case ok && (value == a.acked || slices.Contains(a.maybe, value)):
		case !ok && a.acked == "":
		case !ok:
			lost = append(lost, fmt.Sprintf("%s is missing, %s was acknowledged", key, a.acked))
		default:
			lost = append(lost, fmt.Sprintf("%s holds %.40q, %q was acknowledged", key, value, a.acked))
		}
	}
	return lost
}

// writer writes keys of its own, one write at a time.
type writer struct {
	session *client.Session
	keys    []int
	ledger  *ledger
	meter   *meter
}

// values tells every write from every other.
type values struct{ last atomic.Uint64 }

func (v *values) next() uint64 { return v.last.Add(1) }

// put writes one of the writer's keys.
func (w *writer) put(ctx context.Context, i int, v uint64) error {
	value := strconv.FormatUint(v, 10)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	call := w.meter.now()
	_, err := w.session.Put(ctx, []byte(loadKey(i)), []byte(value))
	o := outcomeOf(err)
	w.ledger.wrote(i, value, o)
	w.meter.wrote(call, o)
	return err
}

// loadTries is how often a key is written before the load is given up.
const loadTries = 3

// load writes each of the writer's keys until that is acknowledged.
func (w *writer) load(ctx context.Context, v *values, done *atomic.Int64) error {
	for _, i := range w.keys {
		for try := 1; ; try++ {
			err := w.put(ctx, i, v.next())
			if err == nil {
				break
			}
			if ctx.Err() != nil || try == loadTries {
				return err
			}
		}
		done.Add(1)
	}
	return nil
}

// goOn writes the writer's keys again and again until stop is closed. A write under way
// is brought to its end.
func (w *writer) goOn(ctx context.Context, v *values, stop <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		default:
			if w.put(ctx, w.keys[n%len(w.keys)], v.next()) != nil {
				pause(ctx, retryPause)
			}
		}
	}
}

// retryPause keeps a client from asking in a loop what is refused at once.
const retryPause = 10 * time.Millisecond

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
