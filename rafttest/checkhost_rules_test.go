package rafttest_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest"
)

// making is a storage in which a snapshot is being made.
type making struct{ *raft.MemoryStorage }

func (making) Snapshot() (pb.Snapshot, error) {
	return pb.Snapshot{}, raft.ErrSnapshotTemporarilyUnavailable
}

// The first configuration of a new group holds from its first entry on, whatever
// entry brings which member.
func TestSnapshotOfABootstrappedHost(t *testing.T) {
	f := &follower{t: t, faults: &recorder{TB: t}, disk: raft.NewMemoryStorage()}
	f.cfg = raft.Config{ID: 1, Storage: f.disk}
	f.check = rafttest.CheckHost(f.faults, &f.cfg)
	f.start(1)
	require.NoError(t, f.rn.Bootstrap([]raft.Peer{{ID: 1}, {ID: 2}, {ID: 3}}))
	f.done(f.rn.Ready())
	for _, e := range f.rn.Ready().CommittedEntries {
		cc, err := pb.UnmarshalConfChange(e)
		require.NoError(t, err)
		f.rn.ApplyConfChange(cc)
		f.check.Applied(e)
	}
	cs, err := f.rn.ConfStateAt(2)
	require.NoError(t, err)
	f.check.SnapshotTaken(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 2, ConfState: *cs}})
	require.Empty(t, f.check.Violations())
}

// Each step that the contract forbids is named, and no step that it allows is
// (docs/host-contract.md).
func TestHostScripts(t *testing.T) {
	for _, script := range hostScripts {
		t.Run(script.name, func(t *testing.T) {
			f := newFollower(t)
			script.run(t, f)
			f.check.Finish()
			if script.rule == "" {
				require.Empty(t, f.check.Violations())
				return
			}
			require.Equal(t, []rafttest.HostRule{script.rule}, rulesOf(f.check.Violations()), "%v", f.faults.faults)
			require.Len(t, f.faults.faults, 1)
			require.Contains(t, f.faults.faults[0], "host rule "+string(script.rule)+": ")
		})
	}
}

// Every rule can be broken: there is a host or a script that does.
func TestEveryHostRuleIsBroken(t *testing.T) {
	broken := map[string]bool{}
	for _, b := range brokenHosts {
		broken[string(b.rule)] = true
	}
	require.GreaterOrEqual(t, len(broken), 15)
	for _, script := range hostScripts {
		broken[string(script.rule)] = true
	}
	source, err := os.ReadFile("checkhost_rules.go")
	require.NoError(t, err)
	rules := regexp.MustCompile(`\tRule\w+ HostRule = "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1)
	require.Greater(t, len(rules), 30)
	for _, rule := range rules {
		require.True(t, broken[rule[1]], "nothing breaks %s", rule[1])
	}
}

// A rule is reported once, however often it is broken.
func TestHostRuleIsReportedOnce(t *testing.T) {
	f := newFollower(t)
	for i := range uint64(3) {
		f.check.Restored(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 7 + i}})
	}
	require.Len(t, f.faults.faults, 1)
	require.Len(t, f.check.Violations(), 1)
	require.Contains(t, f.check.Violations()[0].Detail, "snapshot of 7")
}
