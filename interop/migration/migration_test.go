package migration

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// group is three nodes, each of one kind or the other, on files of their own.
type group struct {
	t     *testing.T
	dirs  map[uint64]string
	kinds map[uint64]string
	hosts map[uint64]host // those that run
	mail  []letter
	wrote []string
}

type letter struct {
	to      uint64
	encoded []byte
}

func newGroup(t *testing.T, start starter) *group {
	g := &group{t: t, dirs: map[uint64]string{}, kinds: map[uint64]string{}, hosts: map[uint64]host{}}
	for id := uint64(1); id <= 3; id++ {
		g.dirs[id] = t.TempDir()
		g.start(id, start, []uint64{1, 2, 3})
	}
	return g
}

// starter is startEtcd or startOurs.
type starter func(id uint64, dir string, peers []uint64, send func(to uint64, encoded []byte)) (host, error)

func (g *group) start(id uint64, start starter, peers []uint64) {
	g.t.Helper()
	h, err := start(id, g.dirs[id], peers, func(to uint64, encoded []byte) {
		g.mail = append(g.mail, letter{to, encoded})
	})
	require.NoError(g.t, err)
	g.hosts[id] = h
	g.kinds[id] = fmt.Sprintf("%T", h)
}

// round is a tick, and all that comes of it.
func (g *group) round() {
	g.t.Helper()
	for id := uint64(1); id <= 3; id++ {
		if h := g.hosts[id]; h != nil {
			h.tick()
			require.NoError(g.t, h.work())
		}
	}
	for n := 0; len(g.mail) > 0; n++ {
		require.Less(g.t, n, 10_000, "messages without end")
		m := g.mail[0]
		g.mail = g.mail[1:]
		if h := g.hosts[m.to]; h != nil {
			_ = h.step(m.encoded) // a node may refuse what came too late
			require.NoError(g.t, h.work())
		}
	}
}

// rounds bounds how long anything may take.
const rounds = 500

// write proposes commands, and waits until all nodes that run have applied them, and all
// before them.
func (g *group) write(n int) {
	g.t.Helper()
	for range n {
		command := fmt.Sprintf("command %d", len(g.wrote))
		g.propose(command)
		g.wrote = append(g.wrote, command)
	}
	for range rounds {
		if g.agree() {
			return
		}
		g.round()
	}
	for id, h := range g.hosts {
		require.Equal(g.t, g.wrote, h.applied(), "node %d, a %s", id, g.kinds[id])
	}
}

func (g *group) agree() bool {
	for _, h := range g.hosts {
		if !slices.Equal(h.applied(), g.wrote) {
			return false
		}
	}
	return true
}

// propose makes one proposal at the leader, and waits until it is applied there.
func (g *group) propose(command string) {
	g.t.Helper()
	for range rounds {
		for _, h := range g.hosts {
			if h.leads() && h.propose([]byte(command)) == nil {
				for range rounds {
					g.round()
					if slices.Contains(h.applied(), command) {
						return
					}
				}
			}
		}
		g.round()
	}
	require.Fail(g.t, "nobody takes a proposal", "%v", g.kinds)
}

// change stops a node and starts one of the other kind in its place. Meanwhile so many
// commands are written; from some number on the node needs a snapshot.
func (g *group) change(id uint64, to starter, meanwhile int) {
	g.t.Helper()
	delete(g.hosts, id)
	g.write(meanwhile)
	g.start(id, to, nil)
	g.write(3)
}

// leader returns the ID of the node that leads.
func (g *group) leader() uint64 {
	g.t.Helper()
	for range rounds {
		for id, h := range g.hosts {
			if h.leads() {
				return id
			}
		}
		g.round()
	}
	require.Fail(g.t, "nobody leads")
	return 0
}

// A group of etcd's nodes changes to this library node by node, with the files that are
// there, goes on working meanwhile, and can go back: nothing that was written is lost, and
// nothing is applied twice.
func TestRollingMigration(t *testing.T) {
	for _, meanwhile := range []int{2, 3 * snapshotEvery} { // by the log, and by a snapshot
		t.Run(fmt.Sprintf("%d commands meanwhile", meanwhile), func(t *testing.T) {
			g := newGroup(t, startEtcd)
			g.write(30) // there are snapshots on disk
			for id := uint64(1); id <= 3; id++ {
				g.change(id, startOurs, meanwhile)
			}
			require.Equal(t, map[uint64]string{1: "*migration.ourHost", 2: "*migration.ourHost", 3: "*migration.ourHost"}, g.kinds)
			g.change(2, startEtcd, meanwhile) // back, and forth
			g.write(30)
			g.change(2, startOurs, meanwhile)
			for range 3 { // the leader goes first
				g.change(g.leader(), startEtcd, meanwhile)
				g.change(g.leader(), startOurs, meanwhile)
			}
		})
	}
}

// A group that began with this library runs on with etcd's nodes.
func TestMigrationBack(t *testing.T) {
	g := newGroup(t, startOurs)
	g.write(30)
	for id := uint64(1); id <= 3; id++ {
		g.change(id, startEtcd, snapshotEvery)
	}
	g.write(30)
}

// All nodes stop at once, and others start: there is no message left to help.
func TestMigrationOfAllAtOnce(t *testing.T) {
	for name, pair := range map[string][2]starter{"to ours": {startEtcd, startOurs}, "to etcd's": {startOurs, startEtcd}} {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t, pair[0])
			g.write(33)
			clear(g.hosts)
			g.mail = nil
			for id := uint64(1); id <= 3; id++ {
				g.start(id, pair[1], nil)
			}
			g.write(33)
		})
	}
}
