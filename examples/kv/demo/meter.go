package demo

import (
	"slices"
	"sync"
	"time"
)

// clock tells the time since the demo began. It is monotonic.
type clock struct{ began time.Time }

func (c clock) now() time.Duration { return time.Since(c.began) }

// meter counts what clients were answered, and remembers when.
type meter struct {
	clock
	mu sync.Mutex
	// acks are the times of acknowledged writes, in their order.
	acks    []time.Duration
	waits   []wait
	counted counts
}

// counts are outcomes that clients got.
type counts struct {
	Writes    uint64 `json:"writes"`
	Reads     uint64 `json:"reads"`
	Ambiguous uint64 `json:"ambiguous"`
	Failed    uint64 `json:"failed"`
}

// wait is a write that took long enough to be remembered by itself.
type wait struct{ call, ended time.Duration }

// longWait is what is remembered: most writes take some milliseconds.
const longWait = 50 * time.Millisecond

// wrote takes the end of a write that was called at a time.
func (m *meter) wrote(call time.Duration, outcome outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now() // with the lock, so that acks are in order
	if now-call > longWait {
		m.waits = append(m.waits, wait{call, now})
	}
	switch outcome {
	case applied:
		m.counted.Writes++
		m.acks = append(m.acks, now)
	case unknown:
		m.counted.Ambiguous++
	case refused:
		m.counted.Failed++
	}
}

// read takes the end of a read.
func (m *meter) read(ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ok {
		m.counted.Reads++
	} else {
		m.counted.Failed++
	}
}

func (m *meter) counts() counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counted
}

// acknowledged returns how many writes were acknowledged after a time.
func (m *meter) acknowledged(after time.Duration) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	first, _ := slices.BinarySearch(m.acks, after+1)
	return len(m.acks) - first
}

// longestGap returns the longest time between two acknowledged writes, one after the
// other, of which some lies between from and to.
func (m *meter) longestGap(from, to time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	longest := time.Duration(0)
	for i := 1; i < len(m.acks); i++ {
		if m.acks[i] >= from && m.acks[i-1] <= to {
			longest = max(longest, m.acks[i]-m.acks[i-1])
		}
	}
	return longest
}

// longestWait returns how long one client waited for a write at most, of those under way
// between from and to, however it ended.
func (m *meter) longestWait(from, to time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	longest := time.Duration(0)
	for _, w := range m.waits {
		if w.ended >= from && w.call <= to {
			longest = max(longest, w.ended-w.call)
		}
	}
	return longest
}
