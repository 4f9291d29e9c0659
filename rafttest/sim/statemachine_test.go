package sim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// ledger is an embedder's state machine: accounts, and how many commands it saw.
type ledger struct {
	seen     uint64
	accounts [8]uint64
}

func newLedger(uint64) StateMachine { return &ledger{} }

// ledgerCommand adds an amount to an account.
func ledgerCommand(random uint64) []byte { return []byte{byte(random % 8), byte(random >> 8)} }

func (l *ledger) Apply(_ uint64, command []byte) []byte {
	l.seen++
	l.accounts[command[0]] = l.accounts[command[0]]*31 + uint64(command[1])
	return binary.LittleEndian.AppendUint64(nil, l.accounts[command[0]]^l.seen<<56)
}

func (l *ledger) Snapshot() []byte {
	b := binary.LittleEndian.AppendUint64(nil, l.seen)
	for _, a := range l.accounts {
		b = binary.LittleEndian.AppendUint64(b, a)
	}
	return b
}

var errLength = errors.New("a snapshot of another length")

func (l *ledger) Restore(snapshot []byte) error {
	if len(snapshot) != 8*9 {
		return errLength
	}
	l.seen = binary.LittleEndian.Uint64(snapshot)
	for i := range l.accounts {
		l.accounts[i] = binary.LittleEndian.Uint64(snapshot[8+8*i:])
	}
	return nil
}

func withMachine(seed uint64, machine func(id uint64) StateMachine) Options {
	return Options{Seed: seed, Steps: 8000, Nodes: 3, Faults: All, NewMachine: machine, Commands: ledgerCommand}
}

// counting counts what a machine of an embedder's is asked for.
type counting struct {
	StateMachine
	applied, snapshots, restored *int
	last                         uint64
	t                            *testing.T
}

func (c *counting) Apply(index uint64, command []byte) []byte {
	*c.applied++
	require.Greater(c.t, index, c.last)
	c.last = index
	require.Len(c.t, command, 2, "what Commands made")
	return c.StateMachine.Apply(index, command)
}

func (c *counting) Snapshot() []byte { *c.snapshots++; return c.StateMachine.Snapshot() }

func (c *counting) Restore(b []byte) error { *c.restored++; return c.StateMachine.Restore(b) }

// A correct state machine survives all faults. It is given commands, all that
// Commands made and nothing else, in order of their index, is asked for snapshots
// and given them back.
func TestStateMachine(t *testing.T) {
	t.Parallel()
	var applied, snapshots, restored, made, lives int
	for seed := uint64(1); seed <= max(4, seeds(20)); seed++ {
		o := withMachine(seed, func(uint64) StateMachine {
			lives++
			return &counting{&ledger{}, &applied, &snapshots, &restored, 0, t}
		})
		o.Commands = func(random uint64) []byte { made++; return ledgerCommand(random) }
		r := Run(o)
		require.Nil(t, r.Violation, "seed %d", seed)
		lives -= int(r.Stats.Starts)
	}
	require.Zero(t, lives, "one for each life of a node")
	for name, count := range map[string]int{"applied": applied, "snapshots": snapshots, "restored": restored, "made": made} {
		require.Greater(t, count, 20, name)
	}
	require.Greater(t, applied, made, "by several replicas")
}

// Replicas that differ are found out, whatever makes them so (S5), and so is a
// machine that does not take its own snapshot.
func TestBrokenStateMachines(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]struct {
		rule    string
		machine func(id uint64) StateMachine
	}{
		"answers by its node":                          {"S5", func(id uint64) StateMachine { return byNode{&ledger{}, id} }},
		"counts its own life":                          {"S5", func(uint64) StateMachine { return &sinceStart{ledger: &ledger{}} }},
		"forgets part of its state in a snapshot":      {"S5", func(uint64) StateMachine { return forgetsAccount{&ledger{}} }},
		"restores beside what it had":                  {"S5", func(uint64) StateMachine { return &addsUp{ledger: &ledger{}} }},
		"does not take its own snapshot":               {"machine", func(uint64) StateMachine { return cutsSnapshot{&ledger{}} }},
		"applies commands on a map in the map's order": {"S5", func(uint64) StateMachine { return unordered{} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			caught(t, broken.rule, func(seed uint64) Options { return withMachine(seed, broken.machine) })
		})
	}
}

// caught fails the test unless one of a few seeds violates one of the rules, and
// none another. It returns the options of the first that does.
func caught(t *testing.T, rules string, options func(seed uint64) Options) Options {
	t.Helper()
	found := Options{}
	first := true
	for seed := uint64(1); seed <= 40; seed++ {
		o := options(seed)
		v := Run(o).Violation
		if v == nil {
			continue
		}
		require.Contains(t, fields(rules), v.Rule, "seed %d: %v", seed, v)
		if first {
			found, first = o, false
		}
		if seed >= 5 {
			break
		}
	}
	require.False(t, first, "not caught")
	return found
}

func fields(s string) []string {
	var list []string
	for _, f := range bytes.Fields([]byte(s)) {
		list = append(list, string(f))
	}
	return list
}

type byNode struct {
	*ledger
	id uint64
}

func (b byNode) Apply(index uint64, command []byte) []byte {
	return append(b.ledger.Apply(index, command), byte(b.id))
}

type sinceStart struct {
	*ledger
	count byte
}

func (s *sinceStart) Apply(index uint64, command []byte) []byte {
	s.count++
	return append(s.ledger.Apply(index, command), s.count)
}

type forgetsAccount struct{ *ledger }

func (f forgetsAccount) Snapshot() []byte {
	b := f.ledger.Snapshot()
	clear(b[8+8*3 : 8+8*4])
	return b
}

type addsUp struct{ *ledger }

func (a *addsUp) Restore(b []byte) error {
	before := a.accounts
	err := a.ledger.Restore(b)
	for i := range before {
		a.accounts[i] += before[i]
	}
	return err
}

type cutsSnapshot struct{ *ledger }

func (c cutsSnapshot) Snapshot() []byte { return c.ledger.Snapshot()[:8] }

// unordered answers with its keys in whatever order the map has.
type unordered map[byte]byte

func (u unordered) Apply(_ uint64, command []byte) []byte {
	u[command[0]] = command[1]
	var keys []byte
	for k := range u {
		keys = append(keys, k)
	}
	return keys
}

func (u unordered) Snapshot() []byte {
	var b []byte
	for k := range byte(8) {
		if v, ok := u[k]; ok {
			b = append(b, k, v)
		}
	}
	return b
}

func (u unordered) Restore(b []byte) error {
	clear(u)
	for ; len(b) > 0; b = b[2:] {
		u[b[0]] = b[1]
	}
	return nil
}
