package confchange

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/quorum"
	"github.com/quorate-raft/raft/raftpb"
)

// parse reads "1 2 & 3 | learners 4 | next 3 | auto"; all but the first part
// may be missing.
func parse(t testing.TB, s string) Config {
	t.Helper()
	var c Config
	for i, part := range strings.Split(s, "|") {
		words := strings.Fields(part)
		switch {
		case i == 0:
			in, out, _ := strings.Cut(part, "&")
			c.Voters = quorum.JointConfig{numbers(t, strings.Fields(in)), numbers(t, strings.Fields(out))}
		case words[0] == "learners":
			c.Learners = numbers(t, words[1:])
		case words[0] == "next":
			c.LearnersNext = numbers(t, words[1:])
		case words[0] == "auto":
			c.AutoLeave = true
		default:
			t.Fatalf("configuration %q", s)
		}
	}
	return c
}

func numbers(t testing.TB, words []string) []uint64 {
	t.Helper()
	var ids []uint64
	for _, word := range words {
		id, err := strconv.ParseUint(word, 10, 64)
		require.NoError(t, err)
		ids = append(ids, id)
	}
	return ids
}

func changes(t testing.TB, s string) []raftpb.ConfChangeSingle {
	t.Helper()
	list, err := raftpb.ConfChangesFromString(s)
	require.NoError(t, err)
	return list
}

// parseChange reads "v1 l2", with "implicit" or "explicit" before it for a
// transition other than auto.
func parseChange(t testing.TB, s string) raftpb.ConfChangeV2 {
	t.Helper()
	var cc raftpb.ConfChangeV2
	if rest, ok := strings.CutPrefix(s, "implicit"); ok {
		cc.Transition, s = raftpb.ConfChangeTransitionJointImplicit, rest
	} else if rest, ok := strings.CutPrefix(s, "explicit"); ok {
		cc.Transition, s = raftpb.ConfChangeTransitionJointExplicit, rest
	}
	cc.Changes = changes(t, s)
	return cc
}

const sentinel = 1 << 63

// spacious returns a copy of c whose sets have room behind them, where an
// append by mistake would overwrite the sentinel. (So it would in a copy of c
// that went another way.)
func spacious(c Config) Config {
	room := func(ids []uint64) []uint64 {
		return append(slices.Clone(ids), sentinel, sentinel)[:len(ids)]
	}
	return Config{
		Voters:       quorum.JointConfig{room(c.Voters[0]), room(c.Voters[1])},
		Learners:     room(c.Learners),
		LearnersNext: room(c.LearnersNext),
		AutoLeave:    c.AutoLeave,
		Contexts:     c.Contexts,
		Effect:       c.Effect,
		Target:       cloneTarget(c.Target),
		Outcome:      cloneOutcome(c.Outcome),
	}
}

// untouched reports whether c, made by spacious from want, is as it was.
func untouched(c, want Config) bool {
	for _, set := range [][]uint64{c.Voters[0], c.Voters[1], c.Learners, c.LearnersNext} {
		behind := set[len(set) : len(set)+2]
		if behind[0] != sentinel || behind[1] != sentinel {
			return false
		}
	}
	return c.Equal(want)
}

// plainConfigs returns every configuration of nodes 1 to n that is not joint,
// the empty one included.
func plainConfigs(n int) []Config {
	var all []Config
	eachCode(n, 3, func(states []int) {
		var c Config
		for i, state := range states {
			id := uint64(i + 1)
			switch state {
			case 1:
				c.Voters[0] = append(c.Voters[0], id)
			case 2:
				c.Learners = append(c.Learners, id)
			}
		}
		if len(c.Voters[0]) > 0 || len(c.Learners) == 0 {
			all = append(all, c)
		}
	})
	return all
}

// jointConfigs returns every joint configuration of nodes 1 to n.
func jointConfigs(n int) []Config {
	var all []Config
	eachCode(n, 6, func(states []int) {
		var c Config
		for i, state := range states {
			id := uint64(i + 1)
			if state == 1 || state == 3 {
				c.Voters[0] = append(c.Voters[0], id)
			}
			if state == 2 || state == 3 || state == 5 {
				c.Voters[1] = append(c.Voters[1], id)
			}
			if state == 4 {
				c.Learners = append(c.Learners, id)
			}
			if state == 5 {
				c.LearnersNext = append(c.LearnersNext, id)
			}
		}
		if len(c.Voters[0]) > 0 && len(c.Voters[1]) > 0 {
			all = append(all, c)
			c.AutoLeave = true
			all = append(all, c)
		}
	})
	return all
}

func eachCode(n, states int, visit func([]int)) {
	code := make([]int, n)
	for {
		visit(code)
		i := 0
		for ; i < n && code[i] == states-1; i++ {
			code[i] = 0
		}
		if i == n {
			return
		}
		code[i]++
	}
}

// changeLists returns every list of up to two changes of nodes 0 to n.
func changeLists(n uint64) [][]raftpb.ConfChangeSingle {
	var singles []raftpb.ConfChangeSingle
	for id := range n + 1 {
		for _, changeType := range []raftpb.ConfChangeType{
			raftpb.ConfChangeAddNode, raftpb.ConfChangeAddLearnerNode, raftpb.ConfChangeRemoveNode, raftpb.ConfChangeUpdateNode,
		} {
			singles = append(singles, raftpb.ConfChangeSingle{Type: changeType, NodeID: id})
		}
	}
	lists := [][]raftpb.ConfChangeSingle{nil}
	for _, first := range singles {
		lists = append(lists, []raftpb.ConfChangeSingle{first})
		for _, second := range singles {
			lists = append(lists, []raftpb.ConfChangeSingle{first, second})
		}
	}
	return lists
}

// decides reports whether the nodes in set (node i at bit i) can decide in c on
// their own: a majority of each half that has voters.
func decides(c Config, set uint) bool {
	for _, half := range c.Voters {
		n := 0
		for _, id := range half {
			n += int(set >> id & 1)
		}
		if len(half) > 0 && 2*n <= len(half) {
			return false
		}
	}
	return true
}

// disjointQuorums returns whether some of the nodes 0 to n could decide in a
// while the others decide in b.
func disjointQuorums(a, b Config, n int) bool {
	for set := range uint(1) << (n + 1) {
		if decides(a, set) && decides(b, ^set) {
			return true
		}
	}
	return false
}
