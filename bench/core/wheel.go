package core

import (
	"errors"
	"fmt"
)

// errNoClock is what a row that needs a Clock fails with.
var errNoClock = errors.New("the library has no NextDeadline")

// slots is how far ahead a wheel looks, in intervals: what is due later is looked at again then.
const slots = 256

// wheel is a host that touches at each interval only the replicas that are due. A replica whose deadline moved on, as a
// follower's does with each heartbeat, stays in its slot, and moves when that comes.
type wheel[M any] struct {
	now   int // intervals so far
	slots [slots]*timed[M]
}

// timed is a replica that a wheel ticks. It is in the place of the replica in its group, so that whoever delivers a
// message first gives the ticks that are due.
type timed[M any] struct {
	Node[M]
	clock Clock
	wheel *wheel[M]
	group *Group[M]
	i     int // which replica it is
	given int // the interval up to which it has its ticks
	due   int // the interval of its deadline, 0 if it has none
	slot  int // the interval in whose slot it is, 0 if in none
	next  *timed[M]
	prev  **timed[M] // what points to it
}

// add puts the replicas of g on the wheel.
func (w *wheel[M]) add(g *Group[M]) error {
	for i, n := range g.Nodes {
		clock, ok := n.(Clock)
		if !ok {
			return errNoClock
		}
		t := &timed[M]{Node: n, clock: clock, wheel: w, group: g, i: i, given: w.now}
		g.Nodes[i] = t
		t.ask()
	}
	return nil
}

// interval lets one pass.
func (w *wheel[M]) interval() error {
	w.now++
	head := &w.slots[w.now%slots]
	for t := *head; t != nil; t = *head {
		t.leave()
		if t.due != w.now {
			t.enqueue()
			continue
		}
		t.catchUp()
		if err := t.group.settle(t.i); err != nil {
			return err
		}
	}
	return nil
}

// catchUp gives the ticks that are due.
func (t *timed[M]) catchUp() {
	if n := t.wheel.now - t.given; n > 0 {
		t.clock.TickBy(n)
		t.given = t.wheel.now
	}
}

// Step implements Node.
func (t *timed[M]) Step(m *M) error {
	t.catchUp()
	return t.Node.Step(m)
}

// Handle implements Node: once there is no Ready any more, the deadline may be another.
func (t *timed[M]) Handle(net *Net[M]) bool {
	if t.Node.Handle(net) {
		return true
	}
	t.ask()
	return false
}

func (t *timed[M]) ask() {
	t.due = 0
	if k, ok := t.clock.NextDeadline(); ok {
		t.due = t.given + k
	}
	t.enqueue()
}

// enqueue sees to it that the wheel comes to the replica when it is due, or before.
func (t *timed[M]) enqueue() {
	if t.due == 0 {
		return
	}
	at := min(t.due, t.wheel.now+slots-1)
	if t.slot != 0 {
		if t.slot <= at {
			return
		}
		t.leave()
	}
	head := &t.wheel.slots[at%slots]
	if t.next = *head; t.next != nil {
		t.next.prev = &t.next
	}
	*head, t.prev, t.slot = t, head, at
}

// leave takes the replica from its slot.
func (t *timed[M]) leave() {
	if *t.prev = t.next; t.next != nil {
		t.next.prev = t.prev
	}
	t.next, t.prev, t.slot = nil, nil, 0
}

// awake returns an error if a replica of the groups has a deadline.
func awake[M any](groups []*Group[M]) error {
	for _, g := range groups {
		for _, n := range g.Nodes {
			if k, ok := n.(*timed[M]).clock.NextDeadline(); ok {
				return fmt.Errorf("a replica is awake, and has something to do in %d ticks", k)
			}
		}
	}
	return nil
}
