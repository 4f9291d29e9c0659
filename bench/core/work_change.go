package core

func changes[M any]() map[string]maker[M] {
	return map[string]maker[M]{
		"election/3":   election[M](3),
		"election/101": election[M](101),
		"joint/3":      joint[M](3),
		"joint/101":    joint[M](101),
	}
}

// election has a follower campaign: pre-votes, votes, and the empty entry of its term committed and applied by all.
func election[M any](voters int) maker[M] {
	return func(lib Library[M]) (*Work, error) {
		room := min(logRoom, 1<<18/voters)
		g, err := newGroup(lib, groupConfig{
			voters: voters,
			log:    LogConfig{Capacity: room + 64},
			node:   Config{ElectionTick: 10, NoCheckQuorum: true},
		})
		if err != nil {
			return nil, err
		}
		next := 1
		return &Work{
			Max:      room,
			Messages: &g.Net.Messages,
			Begin: func(int) error {
				g.compact()
				g.reset()
				return nil
			},
			Run: func(n int) error {
				for range n {
					if err := g.elect(next); err != nil {
						return err
					}
					next = (next + 1) % 3
				}
				return nil
			},
			End: func(n int) error { return g.check(Count{Empty: n}) },
		}, nil
	}
}

// joint makes the last node a learner, then a voter again, and so on, each through a joint configuration that is
// left: two entries for a change.
func joint[M any](nodes int) maker[M] {
	return func(lib Library[M]) (*Work, error) {
		room := min(logRoom, 1<<18/nodes)
		g, err := newGroup(lib, groupConfig{voters: nodes, log: LogConfig{Capacity: room + 64}, node: Config{ElectionTick: 10}})
		if err != nil {
			return nil, err
		}
		voter := false
		return &Work{
			Max:      room / 2,
			Messages: &g.Net.Messages,
			Begin: func(int) error {
				g.compact()
				g.reset()
				return nil
			},
			Run: func(n int) error {
				for range n {
					if err := g.Nodes[0].ProposeJoint(uint64(nodes), voter); err != nil {
						return err
					}
					if err := g.settle(0); err != nil {
						return err
					}
					voter = !voter
				}
				return nil
			},
			End: func(n int) error { return g.check(Count{Changes: 2 * n}) },
		}, nil
	}
}
