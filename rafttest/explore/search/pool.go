package search

import (
	"sync"
	"sync/atomic"
)

// pool gives out chunks of memory of one size and takes them back, so that what
// the search holds is known and does not wait for the garbage collector.
type pool struct {
	size int
	used atomic.Int64 // bytes in use, of chunks and of the tables
	peak atomic.Int64

	mu   sync.Mutex
	free [][]byte
}

// add accounts for n more bytes.
func (p *pool) add(n int) {
	now := p.used.Add(int64(n))
	for {
		peak := p.peak.Load()
		if now <= peak || p.peak.CompareAndSwap(peak, now) {
			return
		}
	}
}

// get returns a chunk of at least n bytes.
func (p *pool) get(n int) []byte {
	if n > p.size {
		p.add(n)
		return make([]byte, n)
	}
	p.add(p.size)
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.free) - 1; last >= 0 {
		c := p.free[last]
		p.free = p.free[:last]
		return c
	}
	return make([]byte, p.size)
}

// put takes chunks back.
func (p *pool) put(chunks [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range chunks {
		p.used.Add(-int64(len(c)))
		if len(c) == p.size {
			p.free = append(p.free, c)
		}
	}
}
