package confchange

import (
	"errors"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/raftpb"
)

// contextual reads "v1=a l2 r3": changes with contexts.
func contextual(t testing.TB, s string) []raftpb.ConfChangeSingle {
	t.Helper()
	var list []raftpb.ConfChangeSingle
	for _, word := range strings.Fields(s) {
		word, context, _ := strings.Cut(word, "=")
		change := changes(t, word)[0]
		change.Context = []byte(context)
		list = append(list, change)
	}
	return list
}

func describeContexts(c Config) string {
	var words []string
	for _, m := range c.Contexts {
		words = append(words, string('0'+rune(m.ID))+"="+string(m.Context))
	}
	return strings.Join(words, " ")
}

// A member's context is a part of the configuration (so that whoever leads can
// reach it): it comes with the change that adds the member, can be changed,
// stays when the member's role changes, and goes with the member; in a joint
// configuration when the last half that has it goes.
func TestContexts(t *testing.T) {
	for _, test := range []struct {
		name    string
		changes []string // "leave" leaves; a leading "joint" enters
		want    string
	}{
		{"with the change that adds", []string{"v1=a", "l2=b", "v3"}, "1=a 2=b"},
		{"kept by a promotion that names none", []string{"v1=a", "l2=b", "v2"}, "1=a 2=b"},
		{"changed by a promotion that names one", []string{"v1=a", "l2=b", "v2=c"}, "1=a 2=c"},
		{"kept by a demotion", []string{"v1=a", "v2=b", "l2"}, "1=a 2=b"},
		{"changed by an update", []string{"v1=a", "u1=c"}, "1=c"},
		{"given by an update", []string{"v1", "u1=c"}, "1=c"},
		{"an update without one changes nothing", []string{"v1=a", "u1"}, "1=a"},
		{"no stranger gets one", []string{"v1=a", "u7=c"}, "1=a"},
		{"gone with the member", []string{"v1=a", "l2=b", "r2"}, "1=a"},
		{"none of a former life", []string{"v1=a", "l2=b", "r2", "l2"}, "1=a"},
		{"a removal brings none", []string{"v1=a", "v2", "r2=x"}, "1=a"},
		{"the last of two in one change", []string{"v1=a", "joint u1=b u1=c v2=d", "leave"}, "1=c 2=d"},
		{"outgoing voters keep theirs while they vote", []string{"v1=a", "v2=b", "joint r2 v3=c"}, "1=a 2=b 3=c"},
		{"and lose it with the half", []string{"v1=a", "v2=b", "joint r2 v3=c", "leave"}, "1=a 3=c"},
		{"demoted jointly", []string{"v1=a", "v2=b", "joint l2 v3=c", "leave"}, "1=a 2=b 3=c"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c Config
			for _, text := range test.changes {
				before := describeContexts(c)
				var next Config
				var err error
				if joint, ok := strings.CutPrefix(text, "joint "); ok {
					next, err = EnterJoint(c, true, contextual(t, joint)...)
				} else if text == "leave" {
					next, err = LeaveJoint(c)
				} else {
					next, err = Simple(c, contextual(t, text)...)
				}
				require.NoError(t, err)
				require.NoError(t, next.Check())
				require.Equal(t, before, describeContexts(c), "the configuration before has changed")
				back, err := Restore(next.ConfState())
				require.NoError(t, err)
				require.True(t, back.Equal(next), "a snapshot loses contexts")
				c = next
			}
			require.Equal(t, test.want, describeContexts(c))
			for _, m := range c.Contexts {
				require.Equal(t, m.Context, c.Context(m.ID))
			}
			require.Nil(t, c.Context(9))
		})
	}
}

// Contexts that no change could have made are refused, like any input from a
// snapshot or a disk.
func TestContextsRefused(t *testing.T) {
	for name, members := range map[string][]raftpb.Member{
		"of a stranger": {{ID: 3, Context: []byte("c")}},
		"empty":         {{ID: 1}},
		"twice":         {{ID: 1, Context: []byte("a")}, {ID: 1, Context: []byte("b")}},
	} {
		_, err := Restore(raftpb.ConfState{Voters: []uint64{1, 2}, Members: members})
		require.ErrorIs(t, err, ErrInvalidConfig, name)
	}
	some := raftpb.ConfState{Voters: []uint64{1}, Members: []raftpb.Member{{ID: 1, Context: []byte("a")}}}
	require.NoError(t, some.Equivalent(some))
	require.Error(t, some.Equivalent(raftpb.ConfState{Voters: []uint64{1}}))
}

// Giving a member the context that it lacks is a change, also where its role stays
// as it is; the same context again is none.
func TestContextIsAChange(t *testing.T) {
	c, err := Simple(Config{}, contextual(t, "v1=a")...)
	require.NoError(t, err)
	require.NoError(t, Validate(c, raftpb.ConfChangeV2{Changes: contextual(t, "v1=b")}))
	require.ErrorIs(t, Validate(c, raftpb.ConfChangeV2{Changes: contextual(t, "v1=a")}), ErrNoChange)
}

// Whatever the order of changes, contexts belong to members and configurations that
// were handed out keep theirs.
func TestContextsRandom(t *testing.T) {
	rnd := rand.New(rand.NewSource(3))
	types := []raftpb.ConfChangeType{raftpb.ConfChangeAddNode, raftpb.ConfChangeRemoveNode, raftpb.ConfChangeUpdateNode, raftpb.ConfChangeAddLearnerNode}
	var c Config
	with := 0
	for range 20000 {
		cc := raftpb.ConfChangeV2{Transition: transitions[rnd.Intn(3)]}
		for range rnd.Intn(4) {
			single := raftpb.ConfChangeSingle{Type: types[rnd.Intn(4)], NodeID: uint64(rnd.Intn(6))}
			if rnd.Intn(2) == 0 {
				single.Context = []byte{byte('a' + rnd.Intn(26))}
			}
			cc.Changes = append(cc.Changes, single)
		}
		kept := slices.Clone(c.Contexts)
		next, err := Apply(c, cc)
		require.True(t, slices.EqualFunc(kept, c.Contexts, raftpb.Member.Equal))
		if err != nil {
			require.False(t, errors.Is(err, ErrInvalidConfig))
			continue
		}
		require.NoError(t, next.Check())
		c, with = next, with+len(next.Contexts)
	}
	require.Greater(t, with, 1000)
}
