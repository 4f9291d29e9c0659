package core

import "fmt"

// logRoom is how many entries a host's log holds before it is compacted, between what is timed.
const logRoom = 1 << 15

// maker makes the work of one row.
type maker[M any] func(lib Library[M]) (*Work, error)

// makers has every row by its key.
func makers[M any]() map[string]maker[M] {
	all := make(map[string]maker[M])
	for _, part := range []map[string]maker[M]{writes[M](), reads[M](), idles[M](), changes[M](), follows[M](), starts[M](), codecs[M](), quorums[M](), curves[M]()} {
		for key, m := range part {
			all[key] = m
		}
	}
	return all
}

// NewWork prepares the row of that key for lib.
func NewWork[M any](lib Library[M], key string) (*Work, error) {
	m := makers[M]()[key]
	if m == nil {
		return nil, fmt.Errorf("there is no row %q", key)
	}
	return m(lib)
}

func writes[M any]() map[string]maker[M] {
	return map[string]maker[M]{
		"propose64/3":           propose[M](proposals{voters: 3, batch: 64, size: usual}),
		"propose64-pipelined/3": propose[M](proposals{voters: 3, batch: 64, size: usual, pipelined: true}),
		"simulate/3":            simulate[M],
	}
}

// usual is the size of an entry's data where it does not matter, in bytes.
const usual = 128

// proposals say what is proposed, and to whom.
type proposals struct {
	voters int
	// batch is how many entries are proposed one by one before a Ready is taken.
	batch int
	// size is that of an entry's data, in bytes. All entries share it.
	size      int
	pipelined bool
	// each has every entry counted, instead of every batch.
	each bool
}

// propose has entries proposed, then committed and applied on all voters.
func propose[M any](p proposals) maker[M] {
	return func(lib Library[M]) (*Work, error) {
		room := logRoom
		if p.voters > 7 {
			room = 1 << 11
		}
		g, err := newGroup(lib, groupConfig{
			voters: p.voters,
			log:    LogConfig{Capacity: room + 64},
			node:   Config{ElectionTick: 10, Pipelined: p.pipelined},
		})
		if err != nil {
			return nil, err
		}
		data, per := make([]byte, p.size), 1
		if p.each {
			per = p.batch
		}
		return &Work{
			Max:      room / p.batch,
			Per:      per,
			Messages: &g.Net.Messages,
			Begin: func(int) error {
				g.compact()
				g.reset()
				return nil
			},
			Run: func(n int) error { return g.propose(data, p.batch, n) },
			End: func(n int) error {
				if p.size == 0 {
					return g.check(Count{Empty: n * p.batch})
				}
				return g.check(Count{Entries: n * p.batch})
			},
		}, nil
	}
}

// propose has batch entries proposed to the leader and settles, n times.
func (g *Group[M]) propose(data []byte, batch, n int) error {
	leader := g.Nodes[0]
	for range n {
		for range batch {
			if err := leader.Propose(data); err != nil {
				return err
			}
		}
		if err := g.settle(0); err != nil {
			return err
		}
	}
	return nil
}

// proposeOnto has entries proposed to three voters whose logs hold some already. Nothing is compacted: once there is no
// room in the arrays the group starts anew.
func proposeOnto[M any](entries int) maker[M] {
	return func(lib Library[M]) (*Work, error) {
		data := make([]byte, usual)
		c := groupConfig{
			voters: 3,
			log:    LogConfig{Capacity: entries + logRoom + 64, Entries: entries, Data: data},
			node:   Config{ElectionTick: 10, Applied: uint64(entries)},
		}
		g, err := newGroup(lib, c)
		if err != nil {
			return nil, err
		}
		used := 0
		return &Work{
			Max:      logRoom,
			Messages: &g.Net.Messages,
			Begin: func(n int) error {
				if used += n; used > logRoom {
					for _, l := range g.Logs {
						l.Reset()
					}
					if err := g.start(lib, c.node); err != nil {
						return err
					}
					used = n
				}
				g.reset()
				return nil
			},
			Run: func(n int) error { return g.propose(data, 1, n) },
			End: func(n int) error { return g.check(Count{Entries: n}) },
		}, nil
	}
}

func reads[M any]() map[string]maker[M] {
	return map[string]maker[M]{
		"read/3":   readIndex[M](1),
		"read64/3": readIndex[M](64),
		"lease/3":  leaseRead[M],
	}
}

// readIndex has batch reads ask one by one, and be answered after a round of heartbeats.
func readIndex[M any](batch int) maker[M] {
	return func(lib Library[M]) (*Work, error) {
		g, err := newGroup(lib, groupConfig{voters: 3, log: LogConfig{Capacity: 64}, node: Config{ElectionTick: 10}})
		if err != nil {
			return nil, err
		}
		contexts := make([][]byte, batch)
		for i := range contexts {
			contexts[i] = fmt.Appendf(nil, "read %03d", i)
		}
		return &Work{
			Max:      1 << 20,
			Messages: &g.Net.Messages,
			Begin: func(int) error {
				g.reset()
				return nil
			},
			Run: func(n int) error {
				for range n {
					for _, c := range contexts {
						if err := g.Nodes[0].ReadIndex(c); err != nil {
							return err
						}
					}
					if err := g.settle(0); err != nil {
						return err
					}
				}
				return nil
			},
			End: func(n int) error { return readsAnswered(g, n*batch) },
		}, nil
	}
}

func leaseRead[M any](lib Library[M]) (*Work, error) {
	g, err := newGroup(lib, groupConfig{voters: 3, log: LogConfig{Capacity: 64}, node: Config{ElectionTick: 10, Lease: true}})
	if err != nil {
		return nil, err
	}
	g.Nodes[0].Tick()
	if err := g.settle(0); err != nil {
		return nil, err
	}
	g.reset()
	return &Work{
		Max: 1 << 20,
		Begin: func(int) error {
			g.reset()
			return nil
		},
		Run: func(n int) error {
			for range n {
				if err := g.Nodes[0].LeaseRead(); err != nil {
					return err
				}
			}
			return nil
		},
		End: func(n int) error { return readsAnswered(g, n) },
	}, nil
}

func readsAnswered[M any](g *Group[M], want int) error {
	if got := g.Nodes[0].Count().Reads; got != want {
		return fmt.Errorf("%d reads were answered, want %d", got, want)
	}
	return nil
}
