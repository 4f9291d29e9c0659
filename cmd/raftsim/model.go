package main

import (
	"flag"
	"fmt"
	"strings"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/rafttest/explore"
)

// ownModel is the name of a model that is none of a tier.
const ownModel = "own"

// modelFlags describe a model that is none of a tier.
type modelFlags struct {
	bounds          explore.Bounds
	effect, changes string
	set             *flag.FlagSet
	names           map[string]bool
}

// newModelFlags adds the flags to a set.
func newModelFlags(set *flag.FlagSet) *modelFlags {
	m := &modelFlags{set: set, names: map[string]bool{}}
	b := &m.bounds
	own := func(name string) string {
		m.names[name] = true
		return name
	}
	for _, f := range []struct {
		at          *int
		name        string
		value       int
		explanation string
	}{
		{&b.Members, "members", 3, "explore a model of so many `servers`; this and the flags of its bounds make a model that is none of a tier"},
		{&b.Learners, "learners", 0, "of them the last so many are `learners` at first"},
		{&b.Spares, "spares", 0, "or have an empty `disk`, and join when a change adds them"},
		{&b.Messages, "messages", 3, "so many `messages` can be on their way at a time"},
		{&b.Proposals, "proposals", 0, "leaders propose so many `commands`"},
		{&b.Crashes, "crashes", 0, "so many `crashes`"},
		{&b.Duplicates, "duplicates", 0, "so many messages arrive `twice`"},
		{&b.Beats, "beats", 0, "so many `ticks` of leaders"},
		{&b.Compactions, "compactions", 0, "so many `snapshots`, each of which shortens a log"},
		{&b.Reads, "reads", 0, "hosts ask so often for an `index` to read at"},
		{&b.Campaigns, "campaigns", 0, "hosts tell servers so `often` to stand"},
		{&b.Transfers, "transfers", 0, "hosts of leaders ask so often for another `server` to take over"},
		{&b.Ticks, "ticks", 0, "time passes so `often`, for all servers at once, and leaders have leases"},
		{&b.Timeouts, "timeouts", 0, "so many election `timeouts`; 0 for as many as the terms let there be"},
	} {
		set.IntVar(f.at, own(f.name), f.value, f.explanation)
	}
	set.Uint64Var(&b.Terms, own("terms"), 1, "so many `terms` after that of the first snapshot")
	set.Uint64Var(&b.Entries, own("entries"), 0, "so many `entries` in a log, those with which leaders begin included; 0 for as many as come")
	set.StringVar(&m.changes, own("changes"), "", "`changes` of membership that leaders propose, each once: add4,learner3,remove1; add4+remove1 is one change, "+
		"add4:joint takes a joint configuration, and that of add4+remove1:stay stands until leave")
	set.StringVar(&m.effect, own("effect"), "apply", "when a change of membership takes effect: `apply` or append")
	set.BoolVar(&b.WriteAtOnce, own("write-at-once"), false, "hosts write and acknowledge what they are given at once")
	set.BoolVar(&b.ApplyAtOnce, own("apply-at-once"), false, "hosts apply what they are given at once")
	set.BoolVar(&b.Led, own("led"), false, "begin where server 1 leads, and all have applied its first entry")
	set.BoolVar(&b.NoPreVote, own("no-prevote"), false, "without pre-votes")
	set.BoolVar(&b.NoCheckQuorum, own("no-checkquorum"), false, "without quorum checks")
	set.BoolVar(&b.Renamed, own("renamed"), false, "take states that differ in the names of servers for the same")
	return m
}

// part returns the model that the flags describe, or nil if there are none of them.
func (m *modelFlags) part() (*explore.Part, error) {
	own, tiers := "", ""
	m.set.Visit(func(f *flag.Flag) {
		switch {
		case m.names[f.Name]:
			own = f.Name
		case f.Name == "tier" || f.Name == "model":
			tiers = f.Name
		}
	})
	switch {
	case own == "":
		return nil, nil
	case tiers != "":
		return nil, fmt.Errorf("-%s chooses a model of a tier, and -%s makes one that is none of a tier", tiers, own)
	}
	b := m.bounds
	switch m.effect {
	case "apply":
	case "append":
		b.Effect = raft.OnAppend
	default:
		return nil, fmt.Errorf("-effect: %q is neither apply nor append", m.effect)
	}
	var err error
	if b.Changes, err = parseChanges(m.changes); err != nil {
		return nil, fmt.Errorf("-changes: %w", err)
	}
	if _, err := explore.NewModel(b); err != nil {
		return nil, err
	}
	return &explore.Part{Name: ownModel, Bounds: b}, nil
}

// args returns the flags that were given, to repeat the model.
func (m *modelFlags) args() (args []string) {
	m.set.Visit(func(f *flag.Flag) {
		switch {
		case !m.names[f.Name]:
		case f.Value.String() == "true":
			args = append(args, "-"+f.Name)
		default:
			args = append(args, "-"+f.Name, f.Value.String())
		}
	})
	return args
}

// maxChanges is how many changes a model can have.
const maxChanges = 8

// changeWords say what a change does to a server.
var changeWords = []struct {
	word string
	what pb.ConfChangeType
}{{"add", pb.ConfChangeAddNode}, {"learner", pb.ConfChangeAddLearnerNode}, {"remove", pb.ConfChangeRemoveNode}, {"update", pb.ConfChangeUpdateNode}}

func parseChanges(text string) (all []pb.ConfChangeV2, err error) {
	if text == "" {
		return nil, nil
	}
	for _, word := range strings.Split(text, ",") {
		cc := pb.ConfChangeV2{}
		if word != "leave" {
			if cc, err = parseChange(word); err != nil {
				return nil, err
			}
		}
		all = append(all, cc)
	}
	if len(all) > maxChanges {
		return nil, fmt.Errorf("%d of them, at most %d are possible", len(all), maxChanges)
	}
	return all, nil
}

func parseChange(text string) (cc pb.ConfChangeV2, err error) {
	singles, transition, _ := strings.Cut(text, ":")
	switch transition {
	case "":
	case "joint":
		cc.Transition = pb.ConfChangeTransitionJointImplicit
	case "stay":
		cc.Transition = pb.ConfChangeTransitionJointExplicit
	default:
		return cc, fmt.Errorf("%q: what follows the colon is neither joint nor stay", text)
	}
	for _, word := range strings.Split(singles, "+") {
		single, ok := parseSingle(word)
		if !ok {
			return cc, fmt.Errorf("%q is neither leave nor, joined by +, add, learner, remove or update with the number of a server", text)
		}
		cc.Changes = append(cc.Changes, single)
	}
	return cc, nil
}

func parseSingle(word string) (single pb.ConfChangeSingle, ok bool) {
	for _, w := range changeWords {
		var id uint64
		rest, found := strings.CutPrefix(word, w.word)
		if !found || len(rest) != 1 || rest[0] < '1' || rest[0] > '9' {
			continue
		}
		id = uint64(rest[0] - '0')
		return pb.ConfChangeSingle{Type: w.what, NodeID: id}, true
	}
	return single, false
}
