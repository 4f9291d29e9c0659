package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/client"
	"github.com/quorate-raft/raft/rafttest/lincheck"
)

const (
	historyPrefix = "history/"
	// opsPerKey bounds what has to be put in order together: the search for that order is
	// exponential at worst.
	opsPerKey = 32
	// historyPause is between two calls of a client, so that the history of a run stays
	// one that is checked in no time.
	historyPause = 4 * time.Millisecond
)

func historyKey(n uint64) string { return fmt.Sprintf("%s%07d", historyPrefix, n) }

// history is what clients saw of some registers, for the check.
type history struct {
	meter  *meter
	values *values
	calls  atomic.Uint64

	mu  sync.Mutex
	ops []lincheck.Op
}

// nextKey returns the key of the next call. All clients are at the same one, and go on
// to the next together.
func (h *history) nextKey() uint64 { return 1 + (h.calls.Add(1)-1)/opsPerKey }

// lastKey returns the last key that was used, 0 if none was.
func (h *history) lastKey() uint64 { return (h.calls.Load() + opsPerKey - 1) / opsPerKey }

func (h *history) add(op lincheck.Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
}

// all returns the operations so far, by the time of their call.
func (h *history) all() []lincheck.Op {
	h.mu.Lock()
	defer h.mu.Unlock()
	ops := slices.Clone(h.ops)
	slices.SortStableFunc(ops, func(a, b lincheck.Op) int { return cmp.Compare(a.Call, b.Call) })
	return ops
}

// reader is a client that reads and writes registers and records what it saw.
type reader struct {
	id      uint64
	client  *client.Client
	session *client.Session
	history *history

	// seen is the value that the client saw last, of the register seenKey.
	seenKey, seen uint64
}

func (r *reader) goOn(ctx context.Context, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		default:
			r.call(ctx)
			pause(ctx, historyPause)
		}
	}
}

// call makes one call of a kind by chance.
func (r *reader) call(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	op := lincheck.Op{Client: r.id, Key: r.history.nextKey()}
	if op.Key != r.seenKey {
		r.seenKey, r.seen = op.Key, 0
	}
	key := []byte(historyKey(op.Key))
	began := r.history.meter.now()
	op.Call = int64(began)
	switch n := rand.IntN(10); {
	case n < 4:
		r.get(ctx, key, &op)
	case n < 7:
		op.Kind, op.Value = lincheck.Write, r.history.values.next()
		revision, err := r.session.Put(ctx, key, encode(op.Value))
		r.wrote(&op, revision, err)
	default:
		op.Kind, op.Value, op.Expect = lincheck.CompareAndSwap, r.history.values.next(), r.seen
		expect := api.Expect{Absent: op.Expect == 0}
		if op.Expect != 0 {
			expect.Value = api.Text(encode(op.Expect))
		}
		revision, err := r.session.CompareAndSet(ctx, key, expect, encode(op.Value))
		r.wrote(&op, revision, err)
	}
	if op.Kind == lincheck.Read {
		r.history.meter.read(op.Outcome == lincheck.OK)
	} else {
		r.history.meter.wrote(began, map[lincheck.Outcome]outcome{
			lincheck.OK: applied, lincheck.Failed: refused, lincheck.Unknown: unknown}[op.Outcome])
	}
	r.history.add(op)
}

func (r *reader) get(ctx context.Context, key []byte, op *lincheck.Op) {
	entry, err := r.client.Get(ctx, key, api.Linearizable)
	op.Return = int64(r.history.meter.now())
	switch {
	case errors.Is(err, client.ErrNotFound):
	case err != nil:
		op.Outcome = lincheck.Failed // a read that was not answered says nothing
		return
	default:
		op.Pos = entry.Revision
		if op.Result, err = decode(entry.Value); err != nil {
			op.Result = foreign
		}
	}
	r.seen = op.Result
}

// wrote takes the outcome of a write. The revision is where in the log it took effect.
func (r *reader) wrote(op *lincheck.Op, revision uint64, err error) {
	op.Return = int64(r.history.meter.now())
	var refusal *api.Error
	switch {
	case err == nil:
		op.Pos, op.Swapped, r.seen = revision, op.Kind == lincheck.CompareAndSwap, op.Value
	case errors.Is(err, client.ErrMismatch) && errors.As(err, &refusal):
		op.Pos = refusal.Revision // the register was last written there; it holds something else
	case outcomeOf(err) == refused:
		op.Outcome = lincheck.Failed
	default:
		op.Outcome = lincheck.Unknown
	}
}

// foreign stands for a value that no client wrote, which the check must find out.
const foreign = 1<<64 - 1

func encode(v uint64) []byte { return strconv.AppendUint(nil, v, 10) }

func decode(text []byte) (uint64, error) { return strconv.ParseUint(string(text), 10, 64) }
