package core

import (
	"fmt"
	"math/rand/v2"
)

// simulate takes steps of a group of three in an order that is drawn: a message that is on its way is delivered (in any
// order) or lost (one in 64), or a node ticks, or the leader is given a proposal; then the node's Readys are handled.
func simulate[M any](lib Library[M]) (*Work, error) {
	const steps = 20_000
	g, err := newGroup(lib, groupConfig{voters: 3, log: LogConfig{Capacity: steps + 1024}, node: Config{ElectionTick: 10}})
	if err != nil {
		return nil, err
	}
	s := &simulation[M]{Group: g, rnd: rand.New(rand.NewPCG(1, 2)), data: make([]byte, 128)}
	return &Work{
		Max:      steps,
		Messages: &g.Net.Messages,
		Begin: func(int) error {
			g.compact()
			g.reset()
			return nil
		},
		Run: func(n int) error {
			for range n {
				s.step()
			}
			return g.Net.err
		},
		End: func(int) error { return s.converge() },
	}, nil
}

type simulation[M any] struct {
	*Group[M]
	rnd  *rand.Rand
	data []byte
	last M // the message being delivered
}

func (s *simulation[M]) step() {
	r := s.rnd.Uint64()
	i := int(r>>32) % len(s.Nodes)
	node, in := s.Nodes[i], s.Net.inbox[i]
	switch {
	case len(in) > 0 && r%8 != 0:
		at, end := int(r>>8&0xffff)%len(in), len(in)-1
		s.last, in[at] = in[at], in[end]
		s.Net.inbox[i] = in[:end]
		if r>>24&63 != 0 {
			_ = node.Step(&s.last) // what is stale is refused
		}
	case r>>3&3 == 0:
		node.Tick()
	case node.Leads():
		_ = node.Propose(s.data) // a leader may have been deposed meanwhile
	}
	for node.Handle(s.Net) {
	}
}

// converge lets all messages arrive, until every node has applied the same.
func (s *simulation[M]) converge() error {
	for range 1000 {
		for i, node := range s.Nodes {
			node.Tick()
			if err := s.settle(i); err != nil {
				return err
			}
		}
		first, same, leaders := *s.Nodes[0].Count(), true, 0
		for _, node := range s.Nodes {
			same = same && *node.Count() == first
			if node.Leads() {
				leaders++
			}
		}
		if same && leaders == 1 {
			return nil
		}
	}
	return fmt.Errorf("no end: %+v, %+v, %+v", *s.Nodes[0].Count(), *s.Nodes[1].Count(), *s.Nodes[2].Count())
}
