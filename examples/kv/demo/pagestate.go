package demo

import (
	"slices"
	"time"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// pageState is all that the page shows.
type pageState struct {
	Seconds float64 `json:"seconds"` // since the demo's beginning
	Over    bool    `json:"over"`
	// Fault is what went wrong, or was found to be.
	Fault   string       `json:"fault"`
	Steps   []toldStep   `json:"steps"`
	Loading progress     `json:"loading"`
	Servers []pageServer `json:"servers"`
	// Leader is its ID, 0 if none is known, and Peers what it knows of each member.
	Leader         uint64          `json:"leader"`
	Peers          []pagePeer      `json:"peers"`
	Configurations []configuration `json:"configurations"`
	Counts         counts          `json:"counts"`
	Throughput     []rate          `json:"throughput"`
	// Summary is null until the demo is over.
	Summary *Summary `json:"summary"`
}

// pageServer is a server on the page.
type pageServer struct {
	ID      uint64 `json:"id"`
	Process string `json:"process"` // one of stateRunning and so on
	PID     int    `json:"pid"`
	// Answers says that what follows is what it said last.
	Answers bool   `json:"answers"`
	Role    string `json:"role"`
	Term    uint64 `json:"term"`
	Commit  uint64 `json:"commit"`
	Applied uint64 `json:"applied"`
	Last    uint64 `json:"last"`
}

// pagePeer is how far a member is, as the leader knows.
type pagePeer struct {
	ID   uint64 `json:"id"`
	Role string `json:"role"`
	api.Progress
}

// rate is how many calls were answered each second, up to a time.
type rate struct {
	At     float64 `json:"at"` // seconds since the demo's beginning
	Writes float64 `json:"writes"`
	Reads  float64 `json:"reads"`
}

func (d *demo) pageState() *pageState {
	s := &pageState{Seconds: d.now().Seconds(), Counts: d.meter.counts()}
	d.monitor.show(s)
	d.mu.Lock()
	defer d.mu.Unlock()
	s.Steps, s.Loading, s.Over = slices.Clone(d.told), d.loading, d.over
	if d.over {
		summary := d.summary
		s.Summary = &summary
		if s.Fault = d.summary.Fault; s.Fault == "" {
			if err := d.summary.verdict(); err != nil {
				s.Fault = err.Error()
			}
		}
	}
	return s
}

// show fills in what the monitor saw.
func (m *monitor) show(s *pageState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var leader *api.Status
	s.Servers, s.Peers = []pageServer{}, []pagePeer{}
	for _, o := range m.latest {
		server := pageServer{ID: o.ID, Process: o.State, PID: o.PID}
		if st := o.status; st != nil {
			server.Answers, server.Role, server.Term = true, st.Role, st.Term
			server.Commit, server.Applied, server.Last = st.Commit, st.Applied, st.Last
			if st.Role == "leader" && (leader == nil || st.Term > leader.Term) {
				leader = st
			}
		}
		s.Servers = append(s.Servers, server)
	}
	if leader != nil {
		s.Leader = leader.ID
		for _, member := range leader.Membership.Members {
			if member.Progress != nil {
				s.Peers = append(s.Peers, pagePeer{ID: member.ID, Role: member.Role, Progress: *member.Progress})
			}
		}
	}
	s.Configurations = append([]configuration{}, m.configs...)
	s.Throughput = rates(m.samples)
}

// rates are those between samples.
func rates(samples []sample) []rate {
	rates := []rate{}
	for i := 1; i < len(samples); i++ {
		a, b := samples[i-1], samples[i]
		seconds := max(b.at-a.at, time.Millisecond).Seconds()
		rates = append(rates, rate{b.at.Seconds(), float64(b.writes-a.writes) / seconds, float64(b.reads-a.reads) / seconds})
	}
	return rates
}
