package core

import (
	"fmt"
	"runtime"
)

func idles[M any]() map[string]maker[M] {
	return map[string]maker[M]{
		"idle/3":        leaderTick[M](1, true),
		"heap-follower": heap[M](1, 2000, Config{ElectionTick: 10}),
		"heap-leader":   heap[M](0, 2000, Config{ElectionTick: 10}),
	}
}

// idleGroups starts groups of three that have little in their logs.
func idleGroups[M any](lib Library[M], groups int, c Config) ([]*Group[M], error) {
	all := make([]*Group[M], 0, groups)
	for range groups {
		g, err := newGroup(lib, groupConfig{voters: 3, log: LogConfig{Capacity: 4}, node: c})
		if err != nil {
			return nil, err
		}
		g.reset()
		all = append(all, g)
	}
	return all, nil
}

// followerTick ticks one follower of each group in turn; none campaigns.
func followerTick[M any](groups int) maker[M] {
	return func(lib Library[M]) (*Work, error) {
		all, err := idleGroups(lib, groups, Config{ElectionTick: 1 << 28})
		if err != nil {
			return nil, err
		}
		at := 0
		return &Work{
			Max: 1 << 20,
			Run: func(n int) error {
				for range n {
					all[at].Nodes[1].Tick()
					if at++; at == len(all) {
						at = 0
					}
				}
				return nil
			},
			End: func(int) error {
				for _, g := range all {
					if g.Nodes[1].Handle(g.Net) {
						return fmt.Errorf("a follower has something to do")
					}
				}
				return nil
			},
		}, nil
	}
}

// leaderTick ticks the leader of each group in turn: heartbeats go to two followers, and they answer. With everyone
// the followers tick too.
func leaderTick[M any](groups int, everyone bool) maker[M] {
	return func(lib Library[M]) (*Work, error) {
		all, err := idleGroups(lib, groups, Config{ElectionTick: 10})
		if err != nil {
			return nil, err
		}
		for i := range 4 * len(all) { // so that every group has its buffers
			g := all[i/4]
			g.Nodes[0].Tick()
			if err := g.settle(0); err != nil {
				return nil, err
			}
		}
		at, before, messages := 0, 0, 0
		return &Work{
			Max:      1 << 18,
			Messages: &messages,
			Begin: func(int) error {
				before = messages
				return nil
			},
			Run: func(n int) error {
				for range n {
					g := all[at]
					sent := g.Net.Messages
					g.Nodes[0].Tick()
					if everyone {
						g.Nodes[1].Tick()
						g.Nodes[2].Tick()
					}
					if err := g.settle(0); err != nil {
						return err
					}
					messages += g.Net.Messages - sent
					if at++; at == len(all) {
						at = 0
					}
				}
				return nil
			},
			End: func(n int) error {
				if messages-before != 4*n {
					return fmt.Errorf("%d messages, want two heartbeats and two answers for each of %d ticks", messages-before, n)
				}
				return nil
			},
		}, nil
	}
}

// heap is what the library keeps alive for the i-th replica of an idle group of three: of one that sleeps, if the groups
// may sleep.
func heap[M any](i, groups int, c Config) maker[M] {
	return func(lib Library[M]) (*Work, error) {
		return &Work{Value: func() (float64, error) {
			all, err := idleGroups(lib, groups, c)
			if err != nil {
				return 0, err
			}
			for _, g := range all {
				if err := g.idle(c); err != nil {
					return 0, err
				}
				clear(g.Net.inbox)
			}
			with := liveHeap()
			for _, g := range all {
				g.Nodes[i].Release()
			}
			without := liveHeap()
			runtime.KeepAlive(all)
			return (float64(with) - float64(without)) / float64(groups), nil
		}}, nil
	}
}

// idle makes an idle group what it is after a while: its leader has sent heartbeats, or all sleep.
func (g *Group[M]) idle(c Config) error {
	if c.SleepAfter == 0 {
		g.Nodes[0].Tick()
		return g.settle(0)
	}
	for range c.SleepAfter + 4*c.HeartbeatTick {
		if err := g.tick(); err != nil {
			return err
		}
	}
	for i, n := range g.Nodes {
		clock, ok := n.(Clock)
		if !ok {
			return errNoClock
		}
		if k, ok := clock.NextDeadline(); ok {
			return fmt.Errorf("replica %d is awake, and has something to do in %d ticks", i+1, k)
		}
	}
	return nil
}

// tick is an interval of a host that ticks all of its replicas, and asks each for a Ready.
func (g *Group[M]) tick() error {
	for i, n := range g.Nodes {
		n.Tick()
		g.Net.wake(i)
	}
	return g.settle(0)
}

func liveHeap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
