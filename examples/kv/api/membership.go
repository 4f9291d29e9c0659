package api

import (
	"fmt"
	"slices"
	"strings"
)

// Results of a target, as in Outcome.Result.
const (
	// ResultPending: the target stands.
	ResultPending = "pending"
	// ResultReached: the members became those of the target.
	ResultReached = "reached"
	// ResultAborted: the target was given up, see Outcome.Reason.
	ResultAborted = "aborted"
	// ResultSuperseded: another target took its place.
	ResultSuperseded = "superseded"
)

// MemberSpec names a member. Addresses are needed for a server that is no member yet, and
// else left out to keep those that it has; a Client that is left out is kept, too.
type MemberSpec struct {
	ID uint64 `json:"id"`
	Addresses
}

// SetMembership says who the members are to be. The cluster does what it takes, in as many
// changes as it takes. Who is not named is removed.
type SetMembership struct {
	Voters   []MemberSpec `json:"voters"`
	Learners []MemberSpec `json:"learners,omitempty"`
	// ExpectVersion refuses it unless the configuration in force has this Index.
	ExpectVersion *uint64 `json:"expect_version,omitempty"`
	// Force sets it, and makes its voters the cluster's, although so many of them are not
	// heard from that the rest could not go on.
	Force bool `json:"force,omitempty"`
}

// TargetSet is the answer to SetMembership: a target stands, and its outcome is to come.
type TargetSet struct {
	Version uint64 `json:"version"`
	Membership
}

// Target is what the cluster works towards.
type Target struct {
	// Version names it: the index of the log entry that set it.
	Version  uint64   `json:"version"`
	Voters   []uint64 `json:"voters"`
	Learners []uint64 `json:"learners,omitempty"`
}

// String returns the target as in "voters 1 2 4, learners 5".
func (t Target) String() string {
	text := "voters " + IDs(t.Voters)
	if len(t.Learners) > 0 {
		text += ", learners " + IDs(t.Learners)
	}
	return text
}

// IDs returns IDs as in "1 2 4".
func IDs(ids []uint64) string { return strings.Trim(fmt.Sprint(ids), "[]") }

// Outcome is how a target ended. Each ends once.
type Outcome struct {
	Version uint64 `json:"version"`
	// Result is ResultReached and so on.
	Result string `json:"result"`
	// Reason says why it was given up, and Node because of whom, if it was anybody.
	Reason string `json:"reason,omitempty"`
	Node   uint64 `json:"node,omitempty"`
	// Index is that of the log entry that ended it.
	Index uint64 `json:"index,omitempty"`
}

// String returns the outcome as in "aborted: server 4 did not answer".
func (o Outcome) String() string {
	switch {
	case o.Reason == "":
		return o.Result
	case o.Node != 0:
		return fmt.Sprintf("%s: server %d %s", o.Result, o.Node, o.Reason)
	}
	return fmt.Sprintf("%s: %s", o.Result, o.Reason)
}

// Step is what the leader does next, or waits for, on the way to the target.
type Step struct {
	// Kind is "add learner", "catch up", "hand over", "change voters" and so on; Members
	// are those whom it is about.
	Kind    string   `json:"kind"`
	Members []uint64 `json:"members,omitempty"`
}

// String returns the step as in "catch up: 4".
func (s Step) String() string {
	if len(s.Members) == 0 {
		return s.Kind
	}
	return s.Kind + ": " + IDs(s.Members)
}

// CatchUp is how a server that is to vote gets on, in rounds (dissertation §4.2.1). In each
// it gets what the leader's log held when the round began; after one that was shorter than
// an election timeout it can vote.
type CatchUp struct {
	Round int `json:"round"`
	// Target is the log index at which the round ends.
	Target uint64 `json:"target"`
	// Ticks is how long it has lasted, LastTicks how long the one before it did.
	Ticks     int  `json:"ticks"`
	LastTicks int  `json:"last_ticks,omitempty"`
	CaughtUp  bool `json:"caught_up,omitempty"`
}

// Resilience is how many voters have to agree, in each half of a joint configuration, and
// how many may fail.
type Resilience struct {
	Quorums  []int `json:"quorums"`
	Failures int   `json:"failures"`
}

// PlannedStep is a step, and how things are after it.
type PlannedStep struct {
	Step
	Voters   []uint64 `json:"voters"`
	Learners []uint64 `json:"learners,omitempty"`
	Resilience
}

// MembershipPlan is what lies ahead on the way to a membership. Nothing was changed.
type MembershipPlan struct {
	// Version is to be expected when the membership is set: see SetMembership.
	Version uint64        `json:"version"`
	Steps   []PlannedStep `json:"steps"`
	// Leaving are voters that will vote no more. If one of them leads, it hands over first.
	Leaving []uint64 `json:"leaving,omitempty"`
	// Before and After are of the two ends, During of the weakest configuration between.
	Before Resilience `json:"before"`
	During Resilience `json:"during"`
	After  Resilience `json:"after"`
	// Obstacles are what stands against it now, in words.
	Obstacles []string `json:"obstacles,omitempty"`
	// Refusal is why it would be refused now; "" if it would be taken.
	Refusal string `json:"refusal,omitempty"`
}

// Repair is what one server does about voters that are gone. Only the leader acts.
type Repair struct {
	// Enabled says that the server was started to do so; if not, the rest is empty.
	Enabled bool `json:"enabled"`
	Paused  bool `json:"paused,omitempty"`
	// Decision is what it does, or why it does nothing, in words; Kind the same as one.
	Decision string `json:"decision,omitempty"`
	Kind     string `json:"kind,omitempty"`
	// Replaced counts the replacements that it has begun.
	Replaced int `json:"replaced,omitempty"`
}

// PauseRepair makes a server do nothing about voters that are gone, or go on.
type PauseRepair struct {
	Paused bool `json:"paused"`
}

// VoterIDs returns the IDs of those who vote, in either half.
func (m *Membership) VoterIDs() (ids []uint64) {
	for _, member := range m.Members {
		if member.Role != RoleLearner {
			ids = append(ids, member.ID)
		}
	}
	return slices.Sorted(slices.Values(ids))
}
