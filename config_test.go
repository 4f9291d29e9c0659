package raft_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/quorate-raft/raft"
)

func goodConfig() raft.Config {
	return raft.Config{ID: 1, Storage: raft.NewMemoryStorage()}
}

// Zero fields stand for defaults, so an ID and a Storage are enough.
func TestConfigDefaultsAreValid(t *testing.T) {
	c := goodConfig()
	require.NoError(t, c.Validate())
	_, err := raft.NewRawNode(&c)
	require.NoError(t, err)
	c.ReadOnlyOption = raft.ReadOnlyLeaseBased
	require.NoError(t, c.Validate())
}

// Every fault is found by itself, matches ErrInvalidConfig, and is named with
// its value and bound; a node is not made of it.
func TestConfigFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(c *raft.Config)
		names []string
	}{
		{"no ID", func(c *raft.Config) { c.ID = 0 }, []string{"ID"}},
		{"no storage", func(c *raft.Config) { c.Storage = nil }, []string{"Storage"}},
		{"heartbeat", func(c *raft.Config) { c.HeartbeatTick = -1 }, []string{"HeartbeatTick (-1)", "1"}},
		{"election", func(c *raft.Config) { c.ElectionTick = -3 }, []string{"ElectionTick (-3)", "HeartbeatTick (1)"}},
		{"election not above heartbeat", func(c *raft.Config) { c.ElectionTick, c.HeartbeatTick = 4, 4 }, []string{"ElectionTick (4)", "HeartbeatTick (4)"}},
		{"default election not above heartbeat", func(c *raft.Config) { c.HeartbeatTick = 10 }, []string{"ElectionTick (10)", "HeartbeatTick (10)"}},
		{"election too long", func(c *raft.Config) { c.ElectionTick = 1<<30 + 1 }, []string{"ElectionTick (1073741825)", "1073741824"}},
		{"inflight messages", func(c *raft.Config) { c.MaxInflightMsgs = -1 }, []string{"MaxInflightMsgs (-1)"}},
		{"inflight bytes", func(c *raft.Config) { c.MaxSizePerMsg, c.MaxInflightBytes = 100, 99 }, []string{"MaxInflightBytes (99)", "MaxSizePerMsg (100)"}},
		{"inflight bytes below the default size", func(c *raft.Config) { c.MaxInflightBytes = 99 }, []string{"MaxInflightBytes (99)", "MaxSizePerMsg (1048576)"}},
		{"pending reads", func(c *raft.Config) { c.MaxPendingReads = -1 }, []string{"MaxPendingReads (-1)"}},
		{"sleep", func(c *raft.Config) { c.SleepAfter = -1 }, []string{"SleepAfter (-1)"}},
		{"sleep too late", func(c *raft.Config) { c.SleepAfter = 1<<30 + 1 }, []string{"SleepAfter (1073741825)"}},
		{"snapshot ticks", func(c *raft.Config) { c.SnapshotTicks = -1 }, []string{"SnapshotTicks (-1)"}},
		{"snapshot ticks too many", func(c *raft.Config) { c.SnapshotTicks = 1<<30 + 1 }, []string{"SnapshotTicks (1073741825)"}},
		{"drift", func(c *raft.Config) { c.MaxClockDrift = -1 }, []string{"MaxClockDrift (-1)"}},
		{"read option", func(c *raft.Config) { c.ReadOnlyOption = 7 }, []string{"ReadOnlyOption (7)"}},
		{"lease without quorum check", func(c *raft.Config) { c.ReadOnlyOption, c.DisableCheckQuorum = raft.ReadOnlyLeaseOnDemand, true }, []string{"CheckQuorum"}},
		{"lease too short", func(c *raft.Config) { c.ReadOnlyOption, c.MaxClockDrift = raft.ReadOnlyLeaseBased, 7 }, []string{"MaxClockDrift (7)", "ElectionTick (10)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := goodConfig()
			c.spoil(&cfg)
			err := cfg.Validate()
			require.ErrorIs(t, err, raft.ErrInvalidConfig)
			for _, name := range c.names {
				require.ErrorContains(t, err, name)
			}
			_, err = raft.NewRawNode(&cfg)
			require.ErrorIs(t, err, raft.ErrInvalidConfig)
		})
	}
}

// All faults are told at once, not one per attempt.
func TestConfigTellsAllFaults(t *testing.T) {
	c := raft.Config{
		ElectionTick: -5, HeartbeatTick: -2, MaxSizePerMsg: 10, MaxInflightBytes: 1, MaxInflightMsgs: -1,
		MaxPendingReads: -1, SnapshotTicks: -1, MaxClockDrift: -1, ReadOnlyOption: 9,
	}
	err := c.Validate()
	require.ErrorIs(t, err, raft.ErrInvalidConfig)
	for _, name := range []string{
		"ID", "Storage", "ElectionTick (-5)", "HeartbeatTick (-2)", "MaxInflightBytes (1)", "MaxInflightMsgs (-1)",
		"MaxPendingReads (-1)", "SnapshotTicks (-1)", "MaxClockDrift (-1)", "ReadOnlyOption (9)",
	} {
		require.ErrorContains(t, err, name)
	}
}

// A missing Config is a fault like any other.
func TestNilConfig(t *testing.T) {
	var c *raft.Config
	require.ErrorIs(t, c.Validate(), raft.ErrInvalidConfig)
	_, err := raft.NewRawNode(nil)
	require.ErrorIs(t, err, raft.ErrInvalidConfig)
}

// The caller's Config is neither changed nor kept: defaults go into a copy.
func TestConfigIsNotTouched(t *testing.T) {
	c := goodConfig()
	before := c
	require.NoError(t, c.Validate())
	rn, err := raft.NewRawNode(&c)
	require.NoError(t, err)
	require.Equal(t, before, c)

	c = raft.Config{ID: 77, ElectionTick: 1 << 20}
	require.Equal(t, uint64(1), rn.BasicStatus().ID)

	full := raft.Config{
		ID: 1, ElectionTick: 20, HeartbeatTick: 2, Storage: raft.NewMemoryStorage(), MaxSizePerMsg: 10,
		MaxCommittedSizePerReady: 20, MaxUncommittedSize: 30, MaxInflightMsgs: 4, MaxInflightBytes: 50,
		MaxPendingReads: 6, SnapshotTicks: 7, MaxClockDrift: 8, Rand: rand.NewPCG(1, 2), Logger: zap.NewNop(),
	}
	before = full
	require.NoError(t, full.Validate())
	require.Equal(t, before, full)
}
