package sim

// eventKind says what is due.
type eventKind uint8

const (
	evTick    eventKind = iota // a node's clock ticks
	evDeliver                  // a message arrives; arg is its place in the network
	evPump                     // a host looks for a Ready
	evWritten                  // a host's oldest write is done
	evAck                      // a host acknowledges writes that are durable
	evApply                    // a host applies
	evRestart                  // a node starts
	evClient                   // a client acts; node is its number
	evPlan                     // the next planned fault begins
	evUndo                     // a fault ends; arg is its place
)

// event is something due at a time. Those at the same time happen in the order
// in which they were scheduled.
type event struct {
	at   int64
	seq  uint64
	arg  uint64
	life uint32 // of the node; one of an earlier life means nothing any more
	node int16
	kind eventKind
}

func (e *event) before(o *event) bool { return e.at < o.at || (e.at == o.at && e.seq < o.seq) }

// queue holds what is due, as a heap whose nodes have four children: shallower
// than one of two, and a node's children lie side by side in memory.
type queue struct {
	heap []event
	seq  uint64
}

func (q *queue) push(e event) {
	q.seq++
	e.seq = q.seq
	q.heap = append(q.heap, e)
	i := len(q.heap) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&q.heap[up]) {
			break
		}
		q.heap[i] = q.heap[up]
		i = up
	}
	q.heap[i] = e
}

// pop removes the first event. There must be one.
func (q *queue) pop() event {
	first := q.heap[0]
	n := len(q.heap) - 1
	e := q.heap[n]
	h := q.heap[:n]
	q.heap = h
	if n == 0 {
		return first
	}
	// The gap goes all the way down, and the last event, which is seldom early,
	// up from there: that takes fewer comparisons than to look for its place on
	// the way.
	gap := 0
	for child := 1; child < n; child = 4*gap + 1 {
		least := child
		for c := child + 1; c < min(child+4, n); c++ {
			if h[c].before(&h[least]) {
				least = c
			}
		}
		h[gap] = h[least]
		gap = least
	}
	for gap > 0 {
		up := (gap - 1) / 4
		if !e.before(&h[up]) {
			break
		}
		h[gap] = h[up]
		gap = up
	}
	h[gap] = e
	return first
}
