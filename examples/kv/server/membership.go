package server

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/store"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/replica"
)

// Membership as a whole: an operator says who the members are to be, and the cluster does
// what it takes.

// showTarget tells clients of the target, if one stands, and how the last one ended.
func showTarget(m *api.Membership, st *replica.Status) {
	if t := st.Config.Target; t != nil {
		m.Target = &api.Target{Version: t.Version, Voters: t.Voters, Learners: t.Learners}
		if s := st.MembershipStep; s != nil {
			m.Step = &api.Step{Kind: s.Kind.String(), Members: s.IDs}
		}
	}
	if o := st.Config.Outcome; o != nil {
		outcome := outcomeOf(*o)
		m.LastOutcome = &outcome
	}
}

var results = map[pb.MembershipResult]string{
	pb.MembershipPending: api.ResultPending, pb.MembershipReached: api.ResultReached,
	pb.MembershipAborted: api.ResultAborted, pb.MembershipSuperseded: api.ResultSuperseded,
}

// reasons complete a sentence about the server that they are about, if it is about one.
var reasons = map[pb.MembershipReason]string{
	pb.MembershipCancelled:  "cancelled",
	pb.MembershipTooSlow:    "catches up too slowly",
	pb.MembershipNoAnswer:   "did not answer while it caught up",
	pb.MembershipRefused:    "does not know of targets",
	pb.MembershipImpossible: "no change leads there",
	pb.MembershipNoQuorum:   "too many of those who were to vote did not answer",
}

func outcomeOf(o pb.MembershipOutcome) api.Outcome {
	return api.Outcome{Version: o.Version, Result: results[o.Result], Reason: reasons[o.Reason], Node: o.Node, Index: o.Index}
}

// leaderMembership tells what only the leader knows.
func (s *Server) leaderMembership(r *http.Request) (any, error) {
	st, err := s.replica.Status(r.Context())
	if err != nil {
		return nil, err
	}
	if st.RaftState != raft.StateLeader {
		return nil, raft.ErrNotLeader
	}
	return s.membership(&st), nil
}

// asked returns the membership that a request asks for.
func (s *Server) asked(r *http.Request) (m pb.Membership, st replica.Status, err error) {
	var request api.SetMembership
	if err := readJSON(r, &request); err != nil {
		return m, st, err
	}
	if st, err = s.replica.Status(r.Context()); err != nil {
		return m, st, err
	}
	m = pb.Membership{Expected: request.ExpectVersion, Force: request.Force}
	now := s.membership(&st)
	if m.Voters, err = specified(now, request.Voters); err == nil {
		m.Learners, err = specified(now, request.Learners)
	}
	if err != nil {
		return m, st, err
	}
	if _, err := confchange.ValidateTarget(m.Target()); err != nil {
		return m, st, api.Errorf(api.CodeBadRequest, "%v", err)
	}
	return m, st, checkSpecified(now, m)
}

// specified returns the members that specs name. One that keeps its addresses gets no
// context.
func specified(now *api.Membership, specs []api.MemberSpec) (members []pb.Member, err error) {
	for _, spec := range specs {
		is := now.Find(spec.ID)
		member := pb.Member{ID: spec.ID}
		switch {
		case spec.ID == 0 || spec.ID > store.MaxMember:
			return nil, api.Errorf(api.CodeBadRequest, "the ID of a member (%d) must be between 1 and %d", spec.ID, uint64(store.MaxMember))
		case slices.ContainsFunc(members, func(o pb.Member) bool { return o.ID == spec.ID }):
			return nil, api.Errorf(api.CodeBadRequest, "server %d is named twice", spec.ID)
		case spec.Peer == "" && is == nil:
			return nil, api.Errorf(api.CodeBadRequest, "server %d is no member yet: give its address, as in %d=10.0.0.%d:7001", spec.ID, spec.ID, spec.ID%256)
		case spec.Addresses == (api.Addresses{}):
		default:
			if is != nil {
				spec.Peer, spec.Client = cmp.Or(spec.Peer, is.Peer), cmp.Or(spec.Client, is.Client)
			}
			if err := checkAddresses(&spec.Addresses); err != nil {
				return nil, err
			}
			if is == nil || is.Addresses != spec.Addresses {
				member.Context = []byte(encodeContext(spec.Addresses))
			}
		}
		members = append(members, member)
	}
	return members, nil
}

// checkSpecified refuses a membership in which two servers have one address.
func checkSpecified(now *api.Membership, m pb.Membership) error {
	at := api.Membership{}
	for _, member := range slices.Concat(m.Voters, m.Learners) {
		a := decodeContext(string(member.Context))
		if is := now.Find(member.ID); is != nil && len(member.Context) == 0 {
			a = is.Addresses
		}
		if err := addressIsFree(&at, member.ID, a); err != nil {
			return err
		}
		at.Members = append(at.Members, api.Member{ID: member.ID, Addresses: a})
	}
	return nil
}

func (s *Server) setMembership(r *http.Request) (any, error) {
	ctx := r.Context()
	m, st, err := s.asked(r)
	if err != nil {
		return nil, err
	}
	// What would be refused changes nothing, also not of IDs.
	check, err := s.replica.CheckMembership(ctx, m)
	if err != nil {
		return nil, err
	}
	if !passes(check.Err) {
		return nil, check.Err
	}
	for _, member := range slices.Concat(m.Voters, m.Learners) {
		if !st.Config.Contains(member.ID) {
			if err := s.takeID(ctx, &st, member.ID); err != nil {
				return nil, err
			}
		}
	}
	if err := s.retireLeaving(ctx, &st, m); err != nil {
		return nil, err
	}
	version, err := s.replica.ProposeMembership(ctx, m)
	if err != nil {
		return nil, err
	}
	if st, err = s.replica.Status(ctx); err != nil { // the target stands, whatever keeps this server from telling of it
		return nil, api.Errorf(api.CodeAmbiguous, "the target %d stands, but what came of it is not known: %v", version, err)
	}
	return api.TargetSet{Version: version, Membership: *s.membership(&st)}, nil
}

// passes says whether a refusal, if it is one, passes by itself.
func passes(refusal error) bool {
	return refusal == nil || errors.Is(refusal, raft.ErrConfChangePending) || errors.Is(refusal, raft.ErrConfChangeTooEarly) ||
		errors.Is(refusal, confchange.ErrUnsupported)
}

// takeID makes sure that an ID may become that of a new member: one that is open and
// nobody's yet, or a new one.
func (s *Server) takeID(ctx context.Context, st *replica.Status, id uint64) error {
	_, err := s.propose(ctx, store.EncodeUseMember(id, 0))
	if errors.Is(err, store.ErrTaken) {
		_, err = s.newMemberID(ctx, st, id, 0)
	}
	return err
}

// retireLeaving retires the IDs of the members that m does not name.
func (s *Server) retireLeaving(ctx context.Context, st *replica.Status, m pb.Membership) error {
	for _, id := range st.Config.IDs() {
		if slices.ContainsFunc(slices.Concat(m.Voters, m.Learners), func(o pb.Member) bool { return o.ID == id }) {
			continue
		}
		if err := s.retireID(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) planMembership(r *http.Request) (any, error) {
	m, _, err := s.asked(r)
	if err != nil {
		return nil, err
	}
	check, err := s.replica.CheckMembership(r.Context(), m)
	if errors.Is(err, raft.ErrNotLeader) || r.Context().Err() != nil || errors.Is(err, replica.ErrStopped) {
		return nil, err
	} else if err != nil {
		return nil, api.Errorf(api.CodeRefused, "there is no way: %v", err)
	}
	plan := api.MembershipPlan{
		Version: check.Version, Steps: []api.PlannedStep{}, Leaving: check.Leaving,
		Before: resilience(check.Before), During: resilience(check.During), After: resilience(check.After),
	}
	for _, p := range check.Steps {
		plan.Steps = append(plan.Steps, api.PlannedStep{
			Step: api.Step{Kind: p.Step.Kind.String(), Members: p.Step.IDs}, Voters: p.Config.Voters.IDs(), Learners: p.Config.Learners,
			Resilience: resilience(p.Resilience),
		})
	}
	for _, o := range check.Obstacles {
		plan.Obstacles = append(plan.Obstacles, o.String())
	}
	if check.Err != nil {
		plan.Refusal = check.Err.Error()
	}
	return plan, nil
}

func resilience(r confchange.Resilience) api.Resilience {
	quorums := []int{r.Quorums[0]}
	if r.Quorums[1] != 0 {
		quorums = append(quorums, r.Quorums[1])
	}
	return api.Resilience{Quorums: quorums, Failures: r.Failures}
}

// versionOf reads the version that a request names.
func versionOf(r *http.Request, needed bool) (uint64, error) {
	query, err := queryOf(r, "version")
	if err != nil {
		return 0, err
	}
	version, err := number("version", query.Get("version"))
	if err == nil && needed && version == 0 {
		err = api.Errorf(api.CodeBadRequest, "version must name a target")
	}
	return version, err
}

// membershipOutcome waits for an outcome for as long as a request may take.
func (s *Server) membershipOutcome(r *http.Request) (any, error) {
	version, err := versionOf(r, true)
	if err != nil {
		return nil, err
	}
	// Some of the request's time is left for the answer.
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.RequestTimeout/2)
	defer cancel()
	outcome, err := s.replica.AwaitMembership(ctx, version)
	if errors.Is(err, context.DeadlineExceeded) && r.Context().Err() == nil {
		return api.Outcome{Version: version, Result: api.ResultPending}, nil
	}
	if err != nil {
		return nil, targetError(err)
	}
	return outcomeOf(outcome), nil
}

func (s *Server) cancelMembership(r *http.Request) (any, error) {
	version, err := versionOf(r, false)
	if err != nil {
		return nil, err
	}
	outcome, err := s.replica.CancelMembership(r.Context(), version)
	if err != nil {
		return nil, targetError(err)
	}
	return outcomeOf(outcome), nil
}

// targetError says what is known of a target whose outcome is not.
func targetError(err error) error {
	switch {
	case errors.Is(err, replica.ErrNoTarget):
		return api.Errorf(api.CodeNotFound, "%v", err)
	case errors.Is(err, replica.ErrNotMember):
		return api.Errorf(api.CodeUnavailable, "%v", err) // others know
	case errors.Is(err, replica.ErrOutcomeUnknown):
		return api.Errorf(api.CodeCompacted, "%v", err)
	}
	return err
}
