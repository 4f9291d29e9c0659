package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Duration is a time span, in JSON a number of seconds. Zero means that it was not
// measured.
type Duration time.Duration

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.4f", time.Duration(d).Seconds()), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var seconds float64
	if err := json.Unmarshal(data, &seconds); err != nil {
		return err
	}
	*d = Duration(seconds * float64(time.Second))
	return nil
}

// String returns the span in milliseconds or seconds, "-" for zero.
func (d Duration) String() string {
	if d == 0 {
		return "-"
	}
	return rounded(time.Duration(d))
}

// Summary is what came of a demo. What it did not come to is zero.
type Summary struct {
	// Keys were loaded, Loading is how long that took.
	Keys    int      `json:"keys"`
	Loading Duration `json:"loading_seconds"`

	// Writes and Reads were answered with success. Ambiguous writes had no known
	// outcome; Failed calls certainly had no effect.
	Writes    uint64 `json:"writes"`
	Reads     uint64 `json:"reads"`
	Ambiguous uint64 `json:"ambiguous"`
	Failed    uint64 `json:"failed"`

	// WithoutWrites is the longest time between two acknowledged writes around the death
	// of the leader, of all clients; LongestWait the longest that one client waited then.
	WithoutWrites Duration `json:"without_writes_seconds"`
	LongestWait   Duration `json:"longest_wait_seconds"`
	// ElectionTimeout is the least time after which servers take a leader for dead. It is
	// drawn by chance, up to twice as long.
	ElectionTimeout Duration `json:"election_timeout_seconds"`

	// Restart and Join are from the start of a process until it had caught up, Promotion
	// and Swap from asking for the change until it was in force. JointSeen says that the
	// joint configuration of the swap was seen on the way, which is left within
	// milliseconds.
	Restart   Duration `json:"restart_seconds"`
	Join      Duration `json:"join_seconds"`
	Promotion Duration `json:"promotion_seconds"`
	Swap      Duration `json:"swap_seconds"`
	JointSeen bool     `json:"joint_seen"`

	// ReadBack is how many keys were read back from the servers ReadFrom each. Lost says
	// which of the loaded ones held on some server what they should not. Both are nil if
	// it did not come to that.
	ReadBack int      `json:"read_back"`
	ReadFrom []uint64 `json:"read_from"`
	Lost     []string `json:"lost"`

	// Checked is how many operations were checked for linearizability, Linearizable
	// whether they are, and Violation why not.
	Checked      int    `json:"checked"`
	Linearizable bool   `json:"linearizable"`
	Violation    string `json:"violation,omitempty"`

	// Total is how long all of it took. Fault is why the demo did not come to its end.
	Total Duration `json:"total_seconds"`
	Fault string   `json:"fault,omitempty"`
}

// Errors that match with errors.Is, for what a demo may find.
var (
	// ErrLost: a key does not hold what was acknowledged.
	ErrLost = errors.New("writes were lost")
	// ErrNotLinearizable: what clients saw has no explanation, or none was found.
	ErrNotLinearizable = errors.New("the history is not linearizable")
	// ErrNotChecked: it is not known whether anything was lost.
	ErrNotChecked = errors.New("not everything was checked")
)

// verdict returns what is wrong with what was found. That nothing was found is not enough
// if nobody looked.
func (s *Summary) verdict() error {
	var faults []error
	if s.ReadFrom == nil || !s.Linearizable && s.Violation == "" {
		faults = append(faults, ErrNotChecked)
	}
	if n := len(s.Lost); n > 0 {
		faults = append(faults, fmt.Errorf("%w: %d, the first: %s", ErrLost, n, s.Lost[0]))
	}
	if s.Violation != "" {
		faults = append(faults, fmt.Errorf("%w: %s", ErrNotLinearizable, s.Violation))
	}
	return errors.Join(faults...)
}

// Print writes the summary as a table.
func (s *Summary) Print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("keys loaded", "%d in %v%s", s.Keys, s.Loading, perSecond(s.Keys, s.Loading))
	row("writes", "%d", s.Writes)
	row("reads", "%d", s.Reads)
	row("ambiguous", "%d", s.Ambiguous)
	row("failed", "%d", s.Failed)
	row("time without writes", "%v (election timeout %v to %v)", s.WithoutWrites, s.ElectionTimeout, 2*s.ElectionTimeout)
	row("longest wait of a client", "%v", s.LongestWait)
	row("restart", "%v", s.Restart)
	row("join as learner", "%v", s.Join)
	row("promotion", "%v", s.Promotion)
	row("swap", "%v%s", s.Swap, map[bool]string{true: ", by a joint configuration that was seen"}[s.JointSeen])
	if s.ReadFrom == nil {
		row("read back", "-")
		row("lost", "not checked")
	} else {
		row("read back", "%d keys, from each of %s", s.ReadBack, list(s.ReadFrom))
		row("lost", "%d", len(s.Lost))
	}
	switch {
	case s.Linearizable:
		row("linearizable", "yes, %d operations", s.Checked)
	case s.Violation != "":
		row("linearizable", "NO")
	default:
		row("linearizable", "not checked")
	}
	row("total time", "%v", s.Total)
	_ = t.Flush()
}

func perSecond(n int, d Duration) string {
	if d <= 0 {
		return ""
	}
	return fmt.Sprintf(", %.0f/s", float64(n)/time.Duration(d).Seconds())
}

// list is numbers for people: 1, 2 and 3.
func list(ids []uint64) string {
	var b strings.Builder
	for i, id := range ids {
		switch {
		case i == 0:
		case i == len(ids)-1:
			b.WriteString(" and ")
		default:
			b.WriteString(", ")
		}
		fmt.Fprint(&b, id)
	}
	return b.String()
}
