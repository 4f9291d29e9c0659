package confchange

import (
	"testing"

	"github.com/quorate-raft/raft/raftpb"
)

const fuzzNodes = 7

// readChange takes a change from data: a byte for the transition, of which one
// in four is unknown, and the number of changes up to seven; then a byte for
// each, of which one type in eight is unknown, and one node in eight is 0.
func readChange(data []byte) (raftpb.ConfChangeV2, []byte) {
	cc := raftpb.ConfChangeV2{Transition: raftpb.ConfChangeTransition(data[0] & 3)}
	n := min(int(data[0]>>2&7), len(data)-1)
	for _, b := range data[1 : 1+n] {
		changeType := raftpb.ConfChangeType(b & 3)
		if b>>6 == 3 && b&3 == 0 {
			changeType = 4
		}
		cc.Changes = append(cc.Changes, raftpb.ConfChangeSingle{Type: changeType, NodeID: uint64(b >> 3 & fuzzNodes)})
	}
	return cc, data[1+n:]
}

// Whatever sequence of changes a log holds, each is carried out or refused, the
// configuration stays consistent, and consecutive ones have no disjoint quorums
// (dissertation §4.1, §4.3).
func FuzzApply(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		var c Config
		for len(data) > 0 {
			var cc raftpb.ConfChangeV2
			cc, data = readChange(data)
			argument := spacious(c)
			next, err := Apply(argument, cc)
			if valid := Validate(argument, cc); valid == nil && err != nil {
				t.Fatalf("%v by %v: valid, but %v", c, cc, err)
			}
			if !untouched(argument, c) {
				t.Fatalf("%v by %v: argument became %v", c, cc, argument)
			}
			if err != nil {
				if !next.Equal(Config{}) {
					t.Fatalf("%v by %v: %v together with %v", c, cc, next, err)
				}
				continue
			}
			if err := next.Check(); err != nil {
				t.Fatalf("%v by %v: %v", c, cc, err)
			}
			if restored, err := Restore(next.ConfState()); err != nil || !restored.Equal(next) {
				t.Fatalf("%v restored as %v, %v", next, restored, err)
			}
			if len(c.Voters[0]) > 0 && disjointQuorums(c, next, fuzzNodes) {
				t.Fatalf("%v by %v: %v has a quorum without one of before", c, cc, next)
			}
			c = next
		}
	})
}
