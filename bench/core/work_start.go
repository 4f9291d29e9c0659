package core

import "fmt"

// large is how many entries a large log has.
const large = 1_000_000

func starts[M any]() map[string]maker[M] {
	return map[string]maker[M]{
		"start/1M":    start[M](3, large),
		"start/101":   start[M](101, 0),
		"replay/1M":   replay[M],
		"campaign/1M": campaign[M],
	}
}

// start makes a RawNode over a log of which all is applied.
func start[M any](voters, entries int) maker[M] {
	return func(lib Library[M]) (*Work, error) {
		log := lib.NewLog(LogConfig{Capacity: entries + 64, Entries: entries, Data: make([]byte, 128), Voters: ids(1, voters)})
		var node Node[M]
		return &Work{
			Max: 1000,
			Run: func(n int) (err error) {
				for range n {
					node, err = lib.NewNode(Config{ID: 1, ElectionTick: 10, Applied: uint64(entries)}, log)
					if err != nil {
						return err
					}
				}
				return nil
			},
			End: func(int) error {
				node.Handle(newNet(lib, voters))
				if got := *node.Count(); got != (Count{}) {
					return fmt.Errorf("it did %+v", got)
				}
				return nil
			},
		}, nil
	}
}

// unapplied is a log of which nothing is applied.
func unapplied[M any](lib Library[M]) Log {
	return lib.NewLog(LogConfig{Capacity: large + 64, Entries: large, Data: make([]byte, 128), Voters: ids(1, 3)})
}

// replay starts a RawNode with a log of which nothing is applied, and applies all of it.
func replay[M any](lib Library[M]) (*Work, error) {
	log := unapplied(lib)
	var node Node[M]
	return &Work{
		Max: 1,
		Run: func(int) (err error) {
			if node, err = lib.NewNode(Config{ID: 1, ElectionTick: 10}, log); err != nil {
				return err
			}
			net := newNet(lib, 3)
			for node.Handle(net) {
			}
			return nil
		},
		End: func(int) error {
			if got := node.Count().Entries; got != large {
				return fmt.Errorf("applied %d entries, want %d", got, large)
			}
			return nil
		},
	}, nil
}

// campaign has a node campaign that has not applied its log.
func campaign[M any](lib Library[M]) (*Work, error) {
	log := unapplied(lib)
	var nodes []Node[M]
	return &Work{
		Max: 64,
		Begin: func(n int) error {
			nodes = nodes[:0]
			for range n {
				node, err := lib.NewNode(Config{ID: 1, ElectionTick: 10}, log)
				if err != nil {
					return err
				}
				nodes = append(nodes, node)
			}
			return nil
		},
		Run: func(int) error {
			for _, node := range nodes {
				if err := node.Campaign(); err != nil {
					return err
				}
			}
			return nil
		},
		End: func(int) error {
			net := newNet(lib, 3)
			for nodes[0].Handle(net) {
			}
			if net.Messages != 2 {
				return fmt.Errorf("%d messages, want two requests for pre-votes", net.Messages)
			}
			return nil
		},
	}, nil
}
