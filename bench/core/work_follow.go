package core

import "fmt"

func follows[M any]() map[string]maker[M] {
	return map[string]maker[M]{
		"append/1":     followerAppend[M](1),
		"append/64":    followerAppend[M](64),
		"append/1024":  followerAppend[M](1024),
		"catchup/128":  catchUp[M](128),
		"catchup/1024": catchUp[M](1024),
	}
}

// followerAppend has a follower take messages of size entries, persist them, acknowledge, and apply those before.
func followerAppend[M any](size int) maker[M] {
	return func(lib Library[M]) (*Work, error) {
		log := lib.NewLog(LogConfig{Capacity: 1<<17 + 64, Voters: ids(1, 3)})
		node, err := lib.NewNode(Config{ID: 2, ElectionTick: 10}, log)
		if err != nil {
			return nil, err
		}
		net := newNet(lib, 3)
		data := make([]byte, 128)
		last := uint64(0)
		var msgs []M
		return &Work{
			Max:      1 << 17 / size / 4,
			Messages: &net.Messages,
			Begin: func(n int) error {
				if last > 0 {
					log.Compact()
				}
				*node.Count() = Count{}
				msgs = msgs[:0]
				for i := range n {
					msgs = append(msgs, lib.Append(last+uint64(i*size), size, data))
				}
				return nil
			},
			Run: func(int) error {
				for i := range msgs {
					if err := node.Step(&msgs[i]); err != nil {
						return err
					}
					for node.Handle(net) {
					}
					net.inbox[0] = net.inbox[0][:0]
				}
				return net.err
			},
			End: func(n int) error {
				// All but the last message's entries are known to be committed, and those of the round before.
				want := (n - 1) * size
				if last > 0 {
					want += size
				}
				if got := node.Count().Entries; got != want {
					return fmt.Errorf("applied %d entries, want %d", got, want)
				}
				last += uint64(n * size)
				return nil
			},
		}, nil
	}
}

// behind is how many entries a replica is behind that has to catch up.
const behind = 100_000

// catchUp has an empty replica get and apply all of the log from a leader that it is reached over bytes.
func catchUp[M any](size int) maker[M] {
	return func(lib Library[M]) (*Work, error) {
		full := LogConfig{Capacity: behind + 64, Entries: behind, Data: make([]byte, size), Voters: ids(1, 3)}
		empty := LogConfig{Capacity: behind + 64, Voters: ids(1, 3)}
		logs := []Log{lib.NewLog(full), lib.NewLog(full), lib.NewLog(empty)}
		var g *Group[M]
		messages := 0
		return &Work{
			Max:      1,
			Per:      behind,
			Messages: &messages,
			Begin: func(int) error {
				g = &Group[M]{Net: newNet(lib, 3), Logs: logs}
				for i, log := range logs {
					log.Reset()
					c := Config{ID: uint64(i + 1), ElectionTick: 10}
					if i < 2 {
						c.Applied = behind
					}
					node, err := lib.NewNode(c, log)
					if err != nil {
						return err
					}
					g.Nodes = append(g.Nodes, node)
				}
				g.Net.lost = 3
				if err := g.elect(0); err != nil {
					return err
				}
				g.Net.lost, g.Net.wired = 0, 3
				return nil
			},
			Run: func(int) error {
				before := g.Net.Messages
				defer func() { messages += g.Net.Messages - before }()
				// The first heartbeat's answer lets the leader probe; how often it has to tick is its own affair.
				for range 10 {
					g.Nodes[0].Tick()
					if err := g.settle(0); err != nil {
						return err
					}
					if g.Nodes[2].Count().Entries == behind {
						return nil
					}
				}
				return nil
			},
			End: func(int) error {
				if got := *g.Nodes[2].Count(); got != (Count{Entries: behind, Empty: 1}) {
					return fmt.Errorf("it applied %+v, want %d entries", got, behind)
				}
				return nil
			},
		}, nil
	}
}
