package demo

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/quorate-raft/raft/examples/kv/api"
)

const (
	// monitorPause is between two looks at the servers, each of which has statusTimeout
	// to answer.
	monitorPause  = 200 * time.Millisecond
	statusTimeout = 500 * time.Millisecond
	// closePause is between two looks when what is to be seen lasts for milliseconds.
	closePause = 2 * time.Millisecond
)

// monitor asks the servers for their states all the time, for the page.
type monitor struct {
	cluster *cluster
	meter   *meter

	mu      sync.Mutex
	latest  []observed
	samples []sample
	configs []configuration
	over    bool
}

// observed is a server as it was seen last.
type observed struct {
	view
	// status is what it said, nil if it did not answer.
	status *api.Status
}

// sample is how many calls were answered up to a time.
type sample struct {
	at            time.Duration
	writes, reads uint64
}

// configuration is one that was in force.
type configuration struct {
	At    float64 `json:"at"` // seconds since the demo's beginning
	Index uint64  `json:"index"`
	// Joint says that it is of two halves: majorities of Voters and of Outgoing both
	// decide.
	Joint    bool     `json:"joint"`
	Voters   []uint64 `json:"voters"`
	Outgoing []uint64 `json:"outgoing"`
	Learners []uint64 `json:"learners"`
}

func (m *monitor) run(ctx context.Context) {
	for ctx.Err() == nil {
		m.look(ctx)
		pause(ctx, monitorPause)
	}
}

// look asks all servers, at the same time.
func (m *monitor) look(ctx context.Context) {
	views := m.cluster.views()
	seen := make([]observed, len(views))
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	var all sync.WaitGroup
	for i, v := range views {
		seen[i].view = v
		if v.State != stateRunning {
			continue
		}
		all.Go(func() {
			if st, err := m.cluster.status(ctx, v.ID); err == nil {
				seen[i].status = &st
			}
		})
	}
	all.Wait()
	c := m.meter.counts()
	m.mu.Lock()
	m.latest = seen
	if !m.over {
		m.samples = append(m.samples, sample{m.meter.now(), c.Writes, c.Reads})
	}
	m.mu.Unlock()
	for _, o := range seen {
		if o.status != nil {
			m.note(&o.status.Membership)
		}
	}
}

// finish ends the measurement of throughput: no more calls are made.
func (m *monitor) finish() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over = true
}

// note remembers a configuration if it is the next one. Servers come to it one after the
// other.
func (m *monitor) note(membership *api.Membership) {
	c := configuration{
		At: m.meter.now().Seconds(), Index: membership.Index, Joint: membership.Joint,
		Voters:   membersWith(membership, api.RoleVoter, api.RoleIncoming),
		Outgoing: []uint64{},
		Learners: membersWith(membership, api.RoleLearner, api.RoleDemoting),
	}
	if c.Joint {
		c.Outgoing = membersWith(membership, api.RoleVoter, api.RoleOutgoing, api.RoleDemoting)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.configs); n > 0 {
		last := m.configs[n-1]
		if c.Index <= last.Index || c.Joint == last.Joint && slices.Equal(c.Voters, last.Voters) && slices.Equal(c.Learners, last.Learners) {
			return
		}
	}
	if len(c.Voters) > 0 {
		m.configs = append(m.configs, c)
	}
}

// sawJoint says whether a joint configuration was seen.
func (m *monitor) sawJoint() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.configs, func(c configuration) bool { return c.Joint })
}

// closely looks at one server as often as it answers, until the function that it returns
// is called: a joint configuration is soon left.
func (m *monitor) closely(ctx context.Context, id uint64) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			if st, err := m.cluster.status(ctx, id); err == nil {
				m.note(&st.Membership)
			}
			pause(ctx, closePause)
		}
	})
	return func() {
		cancel()
		done.Wait()
	}
}
