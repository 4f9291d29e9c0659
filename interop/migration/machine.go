package migration

import "strings"

// machine is the replicated state: the commands that were applied.
type machine struct {
	index    uint64 // of the last entry in it
	commands []string
}

func (m *machine) apply(index uint64, command []byte) {
	m.index = index
	if len(command) > 0 {
		m.commands = append(m.commands, string(command))
	}
}

func (m *machine) snapshot() []byte { return []byte(strings.Join(m.commands, "\n")) }

func (m *machine) restore(index uint64, data []byte) {
	m.index, m.commands = index, nil
	if len(data) > 0 {
		m.commands = strings.Split(string(data), "\n")
	}
}

// A host takes a snapshot each so many entries, and leaves some of the log.
const (
	snapshotEvery = 20
	trailing      = 5
)
