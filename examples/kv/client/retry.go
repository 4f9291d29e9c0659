package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// The pause between tries doubles from the one to the other.
const (
	minPause = 5 * time.Millisecond
	maxPause = 250 * time.Millisecond
)

// backoff makes the pauses between tries. The zero value begins with the least.
type backoff struct{ pause time.Duration }

// next returns how long to pause: between half of what it has come to and the whole, so
// that clients that failed together do not come again together.
func (b *backoff) next() time.Duration {
	b.pause = min(max(2*b.pause, minPause), maxPause)
	return b.pause - rand.N(b.pause/2)
}

// wait pauses, and says whether ctx goes on.
func (b *backoff) wait(ctx context.Context) bool {
	t := time.NewTimer(b.next())
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// do tries r at one server after the other until there is an outcome or ctx ends. Of the
// failure that it returns, ambiguous is about all tries.
func (c *Client) do(ctx context.Context, r *request) *failure {
	if ctx.Err() != nil {
		return ended(ctx, nil)
	}
	var told error // what went wrong last, but for the context's end
	ambiguous := false
	for pauses := (backoff{}); ; {
		at := c.endpoints.current()
		f := c.try(ctx, at, r)
		if f == nil {
			c.worked(at)
			return nil
		}
		// An answer about this try alone does not settle those before it. A mismatch
		// does: it is what the servers remember of the request, whichever try it was.
		f.ambiguous = f.ambiguous || ambiguous && f.code != api.CodeMismatch
		ambiguous = f.ambiguous
		if f.again && !errors.Is(ctx.Err(), context.Canceled) { // else the server is not to blame
			c.endpoints.fail(at)
		}
		switch {
		case !f.again:
			return f
		case ctx.Err() != nil:
			if f.code == "" && told != nil {
				f.err = told
			}
			return ended(ctx, f)
		case r.once && (f.ambiguous || f.code == api.CodeInternal):
			return f
		case !pauses.wait(ctx):
			return ended(ctx, f)
		}
		told = f.err
	}
}
