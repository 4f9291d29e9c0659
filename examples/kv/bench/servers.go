package bench

import (
	"context"
	"crypto/tls"
	"io"
	"math"
	"net/http"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// LogSync is how long a server's writes of its log took that had to reach the disk: what
// it says itself in the metric raftkv_log_sync_seconds. Quantiles are estimated
// within the metric's buckets, each of which is twice as wide as the one before.
type LogSync struct {
	Server uint64        `json:"server"`
	Count  uint64        `json:"count"`
	P50    time.Duration `json:"p50_ns"`
	P99    time.Duration `json:"p99_ns"`
}

const syncMetric = "raftkv_log_sync_seconds"

// scrapeTimeout is for how long one server's metrics are waited for.
const scrapeTimeout = 2 * time.Second

// scrapeSyncs asks the servers for their histograms. One that does not answer is left
// out: it is a figure beside others.
func scrapeSyncs(ctx context.Context, config *tls.Config, m *api.Membership) map[uint64]*dto.Histogram {
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport, Timeout: scrapeTimeout}
	all := map[uint64]*dto.Histogram{}
	for _, member := range m.Members {
		if member.Client == "" {
			continue
		}
		if h, err := scrape(ctx, c, member.Client+"/metrics"); err == nil {
			all[member.ID] = h
		}
	}
	return all
}

func scrape(ctx context.Context, c *http.Client, url string) (*dto.Histogram, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return parseSyncs(io.LimitReader(response.Body, 16<<20))
}

// parseSyncs returns the histogram of syncs, nil if there is none.
func parseSyncs(text io.Reader) (*dto.Histogram, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return nil, err
	}
	if family := families[syncMetric]; family != nil && len(family.Metric) == 1 {
		return family.Metric[0].Histogram, nil
	}
	return nil, nil
}

// syncsBetween is what came to the histograms from one time to the other. A server that
// was started anew between them is left out.
func syncsBetween(before, after map[uint64]*dto.Histogram) (all []LogSync) {
	for id, b := range after {
		a := before[id]
		if a == nil || b == nil || b.GetSampleCount() <= a.GetSampleCount() || len(a.Bucket) != len(b.Bucket) {
			continue
		}
		s := LogSync{Server: id, Count: b.GetSampleCount() - a.GetSampleCount()}
		s.P50, s.P99 = estimate(a, b, 0.5), estimate(a, b, 0.99)
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b LogSync) int { return int(a.Server) - int(b.Server) })
	return all
}

// estimate returns a quantile of what came to a histogram between a and b: within the
// bucket that holds it, as if samples were spread evenly.
func estimate(a, b *dto.Histogram, q float64) time.Duration {
	rank := q * float64(b.GetSampleCount()-a.GetSampleCount())
	lower, below := 0.0, 0.0
	for i, bucket := range b.Bucket {
		count := float64(bucket.GetCumulativeCount() - a.Bucket[i].GetCumulativeCount())
		upper := bucket.GetUpperBound()
		if count >= rank {
			if math.IsInf(upper, 1) || count == below {
				return seconds(lower)
			}
			return seconds(lower + (upper-lower)*(rank-below)/(count-below))
		}
		lower, below = upper, count
	}
	return seconds(lower)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
