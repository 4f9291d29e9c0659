package client

import (
	"slices"
	"sync"
	"time"

	"github.com/quorate-raft/raft/examples/kv/api"
)

const (
	// maxLearned bounds the endpoints that a server may tell of.
	maxLearned = 64
	// relearn is after how long the members are asked for though nothing failed: they
	// may all have been replaced, one after the other.
	relearn = time.Minute
)

// endpoints are the servers to try, and the one to try next.
type endpoints struct {
	configured []endpoint
	// pause is the least time between two questions for the members.
	pause time.Duration

	mu sync.Mutex
	// all are those configured and those learned.
	all  []endpoint
	next int
	// asked is when the members were asked for; learned says that an answer came,
	// failed that an endpoint failed since.
	asked           time.Time
	learned, failed bool
}

func newEndpoints(configured []endpoint) *endpoints {
	return &endpoints{configured: configured, all: configured, pause: time.Second}
}

// current returns the endpoint to try: the same until it fails.
func (e *endpoints) current() endpoint {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all[e.next]
}

// fail moves on if from is the current one. If it is not, another call has moved on
// already, and to move again would skip a server.
func (e *endpoints) fail(from endpoint) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failed = true
	if e.all[e.next] == from {
		e.next = (e.next + 1) % len(e.all)
	}
}

// due says whether the members should be asked for now, and if so takes note of it.
func (e *endpoints) due(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	since := now.Sub(e.asked)
	if since < e.pause || e.learned && !e.failed && since < relearn {
		return false
	}
	e.asked = now
	return true
}

// learn puts the members in the place of those learned before. Those configured stay,
// and what is not used already, like a scheme without TLS, does not come in.
func (e *endpoints) learn(members []api.Member) {
	schemes := map[string]bool{}
	for _, c := range e.configured {
		schemes[c.scheme] = true
	}
	all := slices.Clone(e.configured)
	for _, m := range members {
		p, err := parseEndpoint(m.Client)
		if err == nil && schemes[p.scheme] && !slices.Contains(all, p) && len(all) < len(e.configured)+maxLearned {
			all = append(all, p)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	current := e.all[e.next]
	e.all, e.learned, e.failed = all, true, false
	e.next = max(0, slices.Index(all, current))
}

// allows says whether a redirect to a scheme is followed: to one that is configured.
func (e *endpoints) allows(scheme string) bool {
	return slices.ContainsFunc(e.configured, func(c endpoint) bool { return c.scheme == scheme })
}
