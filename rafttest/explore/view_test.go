package explore

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/quorum"
)

// What invariants of the whole group look at is what makes members look different; what it does not depend on is named, so
// that a new field is thought about.
func TestWhatLooksDifferent(t *testing.T) {
	entries := []entry{{term: 2}}
	changes := map[string]func(v *view){
		"term":   func(v *view) { v.term++ },
		"role":   func(v *view) { v.role = raft.StateLeader },
		"commit": func(v *view) { v.commit++ },
		"log":    func(v *view) { v.log = history{base: 1, entries: entries} },
		"disk":   func(v *view) { v.disk = history{baseTerm: 1, entries: entries} },
		"hard":   func(v *view) { v.hard.Vote++ },
		"conf":   func(v *view) { v.conf.Voters = quorum.JointConfig{{1, 2}} },
		"confAt": func(v *view) { v.confAt++ },
		"peers":  func(v *view) { v.peers = []peer{{1, 2}} },
		"leased": func(v *view) { v.leased = true },
	}
	same := map[string]string{
		"id":       "members keep theirs",
		"lead":     "told in paths alone",
		"applied":  "judged where it changes, see moved",
		"synced":   "says which messages mean nothing",
		"ticks":    "says which inputs make sense",
		"pending":  "as ticks",
		"newest":   "as ticks",
		"applies":  "as ticks",
		"forgets":  "as ticks",
		"compacts": "as ticks",
	}
	for i := range reflect.TypeFor[view]().NumField() {
		name := reflect.TypeFor[view]().Field(i).Name
		was := view{id: 1, log: history{entries: entries}, disk: history{entries: entries}}
		is := was
		require.True(t, is.looksAs(&was))
		if change := changes[name]; change != nil {
			change(&is)
			require.False(t, is.looksAs(&was), name)
		} else {
			require.Contains(t, same, name, "does it matter to judge?")
		}
	}
}
