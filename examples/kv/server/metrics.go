package server

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/replica"
	"github.com/quorate-raft/raft/storage/pebblestore"
	"github.com/quorate-raft/raft/transport"
)

// metrics is what the server counts. What others count is asked when it is collected.
type metrics struct {
	registry          *prometheus.Registry
	requests          *prometheus.CounterVec
	requestSeconds    *prometheus.HistogramVec
	syncSeconds       prometheus.Histogram
	watches           prometheus.Gauge
	leaderChanges     prometheus.Counter
	snapshotsTaken    prometheus.Counter
	snapshotsRestored prometheus.Counter

	writes, reads, failures atomic.Uint64 // for api.Status
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "raftkv_requests_total", Help: "Requests answered, by operation and by the code of the error, or ok.",
		}, []string{"op", "code"}),
		requestSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "raftkv_request_seconds", Help: "How long requests took that were answered with success.",
			Buckets: prometheus.ExponentialBuckets(100e-6, 2, 17),
		}, []string{"op"}),
		syncSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "raftkv_log_sync_seconds", Help: "How long writes of the log took that reach the disk before they return.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 2, 18),
		}),
		watches:           prometheus.NewGauge(prometheus.GaugeOpts{Name: "raftkv_watches", Help: "Watches that are open."}),
		leaderChanges:     prometheus.NewCounter(prometheus.CounterOpts{Name: "raftkv_leader_changes_total", Help: "How often the leader that this server knows, or its own role, changed."}),
		snapshotsTaken:    prometheus.NewCounter(prometheus.CounterOpts{Name: "raftkv_snapshots_taken_total", Help: "Snapshots taken: compactions of the log."}),
		snapshotsRestored: prometheus.NewCounter(prometheus.CounterOpts{Name: "raftkv_snapshots_restored_total", Help: "Snapshots received and restored."}),
	}
	m.registry.MustRegister(m.requests, m.requestSeconds, m.syncSeconds, m.watches, m.leaderChanges, m.snapshotsTaken,
		m.snapshotsRestored, &stateCollector{s}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe counts an answered request.
func (m *metrics) observe(op string, failure *api.Error, took time.Duration) {
	code := "ok"
	if failure != nil {
		code = string(failure.Code)
	}
	m.requests.WithLabelValues(op, code).Inc()
	if failure == nil {
		m.requestSeconds.WithLabelValues(op).Observe(took.Seconds())
	}
	switch op {
	case "put", "delete", "cas":
		m.count(&m.writes, failure)
	case "get", "range":
		m.count(&m.reads, failure)
	}
}

// count counts what the server did its part for: that a key is absent, or a condition
// does not hold, is an answer.
func (m *metrics) count(successes *atomic.Uint64, failure *api.Error) {
	if failure == nil || failure.Code == api.CodeNotFound || failure.Code == api.CodeMismatch {
		successes.Add(1)
	} else {
		m.failures.Add(1)
	}
}

// timedStorage measures how long writes take that have to be durable.
type timedStorage struct {
	*pebblestore.Storage
	synced prometheus.Histogram
}

var _ replica.Storage = (*timedStorage)(nil)

// Save implements replica.Storage.
func (t *timedStorage) Save(rd raft.Ready) error {
	began := time.Now()
	err := t.Storage.Save(rd)
	if err == nil && rd.MustSync {
		t.synced.Observe(time.Since(began).Seconds())
	}
	return err
}

// stateCollector reports the state of the replica and the transport.
type stateCollector struct{ s *Server }

var (
	termDesc     = desc("raftkv_term", "The term.")
	leaderDesc   = desc("raftkv_is_leader", "1 on the leader.")
	hasLeader    = desc("raftkv_has_leader", "1 if a leader is known.")
	commitDesc   = desc("raftkv_commit_index", "The highest log index that is known to be committed.")
	appliedDesc  = desc("raftkv_applied_index", "The highest log index that is applied.")
	durableDesc  = desc("raftkv_durable_index", "The highest log index that is on the disk here.")
	lastDesc     = desc("raftkv_last_index", "The last log index.")
	pendingDesc  = desc("raftkv_pending_requests", "Proposals that wait for their outcome.")
	pendingBytes = desc("raftkv_pending_bytes", "The size of these.")
	inboxDesc    = desc("raftkv_dropped_messages_total", "Messages that were dropped because too many waited.")
	membersDesc  = desc("raftkv_members", "Members of the configuration in effect here, by role.", "role")
	behindDesc   = desc("raftkv_peer_behind_entries", "By how many entries a member is behind, on the leader.", "peer")
	activeDesc   = desc("raftkv_peer_active", "1 if a member was heard from lately, on the leader.", "peer")
	sentDesc     = desc("raftkv_peer_sent_bytes_total", "Bytes sent to a member.", "peer")
	droppedDesc  = desc("raftkv_peer_dropped_messages_total", "Messages to a member that were not sent, by class.", "peer", "class")
	receivedDesc = desc("raftkv_received_bytes_total", "Bytes received from other servers.")
	refusedDesc  = desc("raftkv_refused_connections_total", "Connections of others that were not let in.")
	snapOutDesc  = desc("raftkv_snapshot_sent_bytes_total", "Bytes of snapshots sent.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (c *stateCollector) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, out) }

// Collect implements prometheus.Collector.
func (c *stateCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	if c.s.replica == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	st, err := c.s.replica.Status(ctx)
	if err != nil {
		return // it stops
	}
	gauge(termDesc, float64(st.Term))
	gauge(leaderDesc, oneIf(st.RaftState == raft.StateLeader))
	gauge(hasLeader, oneIf(st.Lead != raft.None))
	gauge(commitDesc, float64(st.Commit))
	gauge(appliedDesc, float64(c.s.replica.Applied()))
	gauge(durableDesc, float64(st.Durable))
	gauge(lastDesc, float64(st.LastIndex))
	gauge(pendingDesc, float64(st.Pending))
	gauge(pendingBytes, float64(st.PendingBytes))
	counter(inboxDesc, st.DroppedMessages)
	roles := map[string]int{}
	for _, m := range c.s.membership(&st).Members {
		roles[m.Role]++
		if m.Progress != nil {
			peer := strconv.FormatUint(m.ID, 10)
			gauge(behindDesc, float64(m.Progress.Behind), peer)
			gauge(activeDesc, oneIf(m.Progress.Active), peer)
		}
	}
	for role, n := range roles {
		gauge(membersDesc, float64(n), role)
	}
	c.collectTransport(counter)
}

func (c *stateCollector) collectTransport(counter func(d *prometheus.Desc, v uint64, labels ...string)) {
	stats := c.s.network.Stats()
	counter(receivedDesc, stats.ReceivedBytes)
	counter(refusedDesc, stats.Refused)
	counter(snapOutDesc, stats.SnapshotBytes)
	for i := range stats.Peers {
		p := &stats.Peers[i]
		peer := strconv.FormatUint(p.ID, 10)
		sent := uint64(0)
		for _, lane := range p.Lanes {
			sent += lane.SentBytes
		}
		counter(sentDesc, sent, peer)
		for class, n := range p.Dropped {
			counter(droppedDesc, n, peer, transport.Class(class).String())
		}
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
