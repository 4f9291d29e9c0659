package progress

// Window bounds what the leader has sent to one peer and not yet seen
// acknowledged: by number of append messages and by bytes of entries
// (dissertation §10.2.2, pipelining). It is a ring of the last index of every
// message in flight. The zero value is a closed window; see NewWindow.
//
// A Window is not safe for concurrent use.
type Window struct {
	ring     []inflight
	start    int
	count    int
	bytes    uint64
	maxCount int
	maxBytes uint64
}

type inflight struct {
	index uint64
	bytes uint64
}

// NewWindow returns an empty window of at most maxCount messages and maxBytes
// bytes; maxBytes 0 means no bound on bytes. Memory grows with use, up to
// maxCount.
func NewWindow(maxCount int, maxBytes uint64) Window {
	return Window{maxCount: maxCount, maxBytes: maxBytes}
}

// Full reports whether another message with entries must wait.
func (w *Window) Full() bool {
	return w.count >= w.maxCount || (w.maxBytes != 0 && w.bytes >= w.maxBytes)
}

// Count returns the number of messages in flight.
func (w Window) Count() int { return w.count }

// Bytes returns the bytes of entries in flight.
func (w Window) Bytes() uint64 { return w.bytes }

// Limits returns the bounds the window was made with: messages and bytes.
func (w Window) Limits() (maxCount int, maxBytes uint64) { return w.maxCount, w.maxBytes }

// Add records a message whose last entry has the given index. A single message
// may pass the bound on bytes, else an entry larger than it could never be
// sent. It panics when the window is full or index does not increase: the
// leader must ask first.
func (w *Window) Add(index, bytes uint64) {
	if w.Full() {
		panic("progress: add to a full window")
	}
	if w.count > 0 {
		if last := w.at(w.count - 1).index; index <= last {
			panic("progress: index in flight does not increase")
		}
	}
	if w.count == len(w.ring) {
		w.grow()
	}
	*w.at(w.count) = inflight{index: index, bytes: bytes}
	w.count++
	w.bytes += bytes
}

// FreeTo drops every message whose last index is at or below index.
func (w *Window) FreeTo(index uint64) {
	for w.count > 0 {
		head := w.at(0)
		if head.index > index {
			return
		}
		w.bytes -= head.bytes
		w.count--
		w.start++
		if w.start == len(w.ring) {
			w.start = 0
		}
	}
	w.start = 0
}

// Reset forgets everything in flight and keeps the memory.
func (w *Window) Reset() {
	w.start, w.count, w.bytes = 0, 0, 0
}

func (w *Window) at(i int) *inflight {
	i += w.start
	if i >= len(w.ring) {
		i -= len(w.ring)
	}
	return &w.ring[i]
}

func (w *Window) grow() {
	size := min(max(2*len(w.ring), 4), w.maxCount)
	ring := make([]inflight, size)
	for i := range w.count {
		ring[i] = *w.at(i)
	}
	w.ring, w.start = ring, 0
}

// Clone returns a copy that shares nothing with w.
func (w *Window) Clone() Window {
	c := *w
	c.ring = append([]inflight(nil), w.ring...)
	return c
}
