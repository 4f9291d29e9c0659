package core

import "fmt"

// Net carries messages between the replicas 1, 2, ... of a group, in order and at once.
type Net[M any] struct {
	// Messages is how many were sent.
	Messages int
	inbox    [][]M
	// frames are the messages to and from a replica that is reached over bytes.
	frames [][][]byte
	wired  uint64 // its ID, 0 if there is none
	lost   uint64 // the ID of a replica that nothing reaches, 0 if there is none
	lib    Library[M]
	queue  []int // of the replicas that have something to do
	queued []bool
	err    error
}

func newNet[M any](lib Library[M], n int) *Net[M] {
	return &Net[M]{lib: lib, inbox: make([][]M, n), frames: make([][][]byte, n), queue: make([]int, 0, n), queued: make([]bool, n)}
}

// Send sends m, which is from one replica and to another.
func (n *Net[M]) Send(from, to uint64, m *M) {
	n.Messages++
	if n.lost != 0 && (from == n.lost || to == n.lost) {
		return
	}
	i := int(to - 1)
	if n.wired != 0 && (from == n.wired || to == n.wired) {
		b, err := n.lib.Marshal(nil, m)
		if err != nil {
			n.err = err
		}
		n.frames[i] = append(n.frames[i], b)
	} else {
		n.inbox[i] = append(n.inbox[i], *m)
	}
	n.wake(i)
}

func (n *Net[M]) wake(i int) {
	if !n.queued[i] {
		n.queued[i] = true
		n.queue = append(n.queue, i)
	}
}

// Group is the replicas of one group.
type Group[M any] struct {
	Nodes []Node[M]
	Logs  []Log
	Net   *Net[M]
}

// groupConfig says how the replicas of a group begin; all have the same log.
type groupConfig struct {
	voters, learners int
	log              LogConfig
	node             Config
}

// newGroup starts a group of which the first replica leads.
func newGroup[M any](lib Library[M], c groupConfig) (*Group[M], error) {
	g := &Group[M]{Net: newNet(lib, c.voters+c.learners)}
	c.log.Voters, c.log.Learners = ids(1, c.voters), ids(c.voters+1, c.learners)
	for range c.voters + c.learners {
		g.Logs = append(g.Logs, lib.NewLog(c.log))
	}
	return g, g.start(lib, c.node)
}

// start starts the replicas anew over what is in their logs, and lets the first lead.
func (g *Group[M]) start(lib Library[M], c Config) error {
	g.Nodes = g.Nodes[:0]
	for i, log := range g.Logs {
		c.ID = uint64(i + 1)
		node, err := lib.NewNode(c, log)
		if err != nil {
			return err
		}
		g.Nodes = append(g.Nodes, node)
	}
	return g.elect(0)
}

// ids returns n IDs from first on.
func ids(first, n int) []uint64 {
	var all []uint64
	for i := range n {
		all = append(all, uint64(first+i))
	}
	return all
}

// elect has replica i campaign, and win.
func (g *Group[M]) elect(i int) error {
	if err := g.Nodes[i].Campaign(); err != nil {
		return err
	}
	if err := g.settle(i); err != nil {
		return err
	}
	if !g.Nodes[i].Leads() {
		return fmt.Errorf("replica %d was not elected", i+1)
	}
	return nil
}

// settle delivers messages and handles Readys until nothing is left to do, replica i first.
func (g *Group[M]) settle(i int) error {
	net := g.Net
	net.wake(i)
	for at := 0; at < len(net.queue); at++ {
		i := net.queue[at]
		net.queued[i] = false
		if err := g.deliver(i); err != nil {
			return err
		}
		for g.Nodes[i].Handle(net) {
		}
	}
	net.queue = net.queue[:0]
	return net.err
}

// deliver steps what has come for replica i.
func (g *Group[M]) deliver(i int) error {
	node, net := g.Nodes[i], g.Net
	in := net.inbox[i]
	for j := range in {
		if err := node.Step(&in[j]); err != nil {
			return fmt.Errorf("step: %w", err)
		}
	}
	net.inbox[i] = in[:0]
	if len(net.frames[i]) == 0 {
		return nil
	}
	for _, b := range net.frames[i] {
		var m M
		if err := net.lib.Unmarshal(b, &m); err != nil {
			return fmt.Errorf("unmarshal: %w", err)
		}
		if err := node.Step(&m); err != nil {
			return fmt.Errorf("step: %w", err)
		}
	}
	clear(net.frames[i])
	net.frames[i] = net.frames[i][:0]
	return nil
}

// compact empties the logs, whose entries are applied everywhere.
func (g *Group[M]) compact() {
	for _, l := range g.Logs {
		l.Compact()
	}
}

// reset forgets what the replicas have done.
func (g *Group[M]) reset() {
	for _, n := range g.Nodes {
		*n.Count() = Count{}
	}
	g.Net.Messages = 0
}

// check returns an error unless every replica has done what want says.
func (g *Group[M]) check(want Count) error {
	for i, n := range g.Nodes {
		if got := *n.Count(); got != want {
			return fmt.Errorf("replica %d did %+v, want %+v", i+1, got, want)
		}
	}
	return nil
}
