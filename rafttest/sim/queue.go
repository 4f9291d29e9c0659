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
	evResume                   // a paused node goes on
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
	node int32
	life uint32 // of the node; one of an earlier life means nothing any more
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
	q.heap = q.heap[:n]
	if n == 0 {
		return first
	}
	i := 0
	for {
		child := 4*i + 1
		if child >= n {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, n); c++ {
			if q.heap[c].before(&q.heap[least]) {
				least = c
			}
		}
		if !q.heap[least].before(&e) {
			break
		}
		q.heap[i] = q.heap[least]
		i = least
	}
	q.heap[i] = e
	return first
}
