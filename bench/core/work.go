package core

import "fmt"

// logRoom is how many entries a host's log holds before it is compacted, between what is timed.
const logRoom = 1 << 15

// maker makes the work of one row.
type maker[M any] func(lib Library[M]) (*Work, error)

// makers has every row by its key.
func makers[M any]() map[string]maker[M] {
	all := make(map[string]maker[M])
	for _, part := range []map[string]maker[M]{writes[M](), reads[M](), idles[M](), changes[M](), follows[M](), starts[M](), codecs[M](), quorums[M]()} {
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
		"propose/1":             propose[M](1, 1, false),
		"propose/3":             propose[M](3, 1, false),
		"propose/5":             propose[M](5, 1, false),
		"propose/7":             propose[M](7, 1, false),
		"propose/101":           propose[M](101, 1, false),
		"propose64/3":           propose[M](3, 64, false),
		"propose64-pipelined/3": propose[M](3, 64, true),
		"simulate/3":            simulate[M],
	}
}

// propose has batch entries of 128 bytes proposed one by one before a Ready is taken, then committed and applied on
// all voters.
func propose[M any](voters, batch int, pipelined bool) maker[M] {
	return func(lib Library[M]) (*Work, error) {
		room := logRoom
		if voters > 7 {
			room = 1 << 11
		}
		g, err := newGroup(lib, groupConfig{
			voters: voters,
			log:    LogConfig{Capacity: room + 64},
			node:   Config{ElectionTick: 10, Pipelined: pipelined},
		})
		if err != nil {
			return nil, err
		}
		data := make([]byte, 128)
		return &Work{
			Max:      room / batch,
			Messages: &g.Net.Messages,
			Begin: func(int) error {
				g.compact()
				g.reset()
				return nil
			},
			Run: func(n int) error {
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
			},
			End: func(n int) error { return g.check(Count{Entries: n * batch}) },
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
