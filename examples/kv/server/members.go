package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/store"
	"github.com/quorate-raft/raft/progress"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/replica"
)

// membership tells clients of a configuration.
func (s *Server) membership(st *replica.Status) *api.Membership {
	m := &api.Membership{
		Cluster: s.identity.Cluster.String(), Index: st.ConfigIndex, Joint: st.Config.Joint(), Leader: st.Lead,
		Members: []api.Member{},
	}
	for _, id := range st.Config.IDs() {
		member := api.Member{
			ID: id, Addresses: decodeContext(string(st.Config.Context(id))), Role: roleOf(&st.Config, id), Leader: id == st.Lead,
		}
		if id == s.identity.ID && member.Client == "" {
			member.Client = s.addresses.Client // which the cluster is about to learn
		}
		if p, ok := st.Progress[id]; ok {
			member.Progress = progressOf(st, id, &p)
		}
		m.Members = append(m.Members, member)
	}
	showTarget(m, st)
	return m
}

func progressOf(st *replica.Status, id uint64, p *progress.Progress) *api.Progress {
	behind := uint64(0)
	if st.LastIndex > p.Match {
		behind = st.LastIndex - p.Match
	}
	progress := &api.Progress{
		State: strings.ToLower(p.State.String()), Match: p.Match, Behind: behind, Active: p.Active || id == st.ID,
		SilentSeconds: st.Silent[id].Seconds(),
	}
	if c := p.CatchUp; c != nil {
		progress.CatchUp = &api.CatchUp{Round: c.Round, Target: c.Target, Ticks: c.Ticks, LastTicks: c.LastTicks, CaughtUp: c.CaughtUp}
	}
	return progress
}

func roleOf(c *confchange.Config, id uint64) string {
	in, out := c.Voters[0].Contains(id), c.Voters[1].Contains(id)
	switch {
	case slices.Contains(c.LearnersNext, id):
		return api.RoleDemoting
	case in && (out || !c.Joint()):
		return api.RoleVoter
	case in:
		return api.RoleIncoming
	case out:
		return api.RoleOutgoing
	}
	return api.RoleLearner
}

func (s *Server) members(r *http.Request) (any, error) {
	st, err := s.replica.Status(r.Context())
	if err != nil {
		return nil, err
	}
	return s.membership(&st), nil
}

// join gives a server what it needs in order to join: an ID, and whom to talk to.
func (s *Server) join(r *http.Request) (any, error) {
	var request api.Join
	if err := readJSON(r, &request); err != nil {
		return nil, err
	}
	if request.Claim == 0 {
		return nil, api.Errorf(api.CodeBadRequest, "a claim must be given: a random number, the same at each try")
	}
	// What it is told must not be older than a change that was acknowledged.
	if err := s.replica.Read(r.Context()); err != nil {
		return nil, err
	}
	st, err := s.replica.Status(r.Context())
	if err != nil {
		return nil, err
	}
	answer := api.Joined{Membership: *s.membership(&st)}
	if m := answer.Find(request.ID); m != nil && m.Role != api.RoleLearner {
		return nil, lostDirectory(m) // and its votes, so that no claim helps
	}
	answer.ID, err = s.newMemberID(r.Context(), &st, request.ID, request.Claim)
	return answer, err
}

// newMemberID returns an ID for a server that joins: what its claim has, if it has asked
// before, else the one that it wants, or with 0 the next.
func (s *Server) newMemberID(ctx context.Context, st *replica.Status, wanted, claim uint64) (uint64, error) {
	result, err := s.propose(ctx, store.EncodeNewMember(slices.Max(st.Config.IDs()), wanted, claim))
	if !errors.Is(err, store.ErrTaken) {
		return result.Revision, err
	}
	if result.Revision != 0 {
		return 0, api.Errorf(api.CodeTaken, "the server was given the ID %d before, and cannot have %d as well", result.Revision, wanted)
	}
	if m := s.membership(st).Find(wanted); m != nil {
		return 0, lostDirectory(m)
	}
	return 0, api.Errorf(api.CodeTaken,
		"the ID %d is, or was, another server's, or is more than %d above all that were given", wanted, store.MaxMemberSkip)
}

// lostDirectory refuses a server that comes with an empty directory as a member.
func lostDirectory(m *api.Member) error {
	return api.Errorf(api.CodeTaken, "server %d is a %s: if it lost its directory, remove it, and let a new one join", m.ID, m.Role)
}

// retireID makes sure that a member's ID is never given out, and that it is not added
// again: before it is removed, since afterwards nobody knows.
func (s *Server) retireID(ctx context.Context, id uint64) error {
	_, err := s.propose(ctx, store.EncodeRetireMembers(id, id))
	return err
}

func (s *Server) addMember(r *http.Request) (any, error) {
	ctx := r.Context()
	var request api.NewMember
	if err := readJSON(r, &request); err != nil {
		return nil, err
	}
	if err := checkAddresses(&request.Addresses); err != nil {
		return nil, err
	}
	if request.ID == 0 && request.Claim != 0 {
		return nil, api.Errorf(api.CodeBadRequest, "a claim goes with the ID that POST /v1/join gave to it")
	}
	st, err := s.replica.Status(ctx)
	if err != nil {
		return nil, err
	}
	now := s.membership(&st)
	if m := now.Find(request.ID); m != nil && m.Addresses == request.Addresses {
		return api.Joined{ID: m.ID, Membership: *now}, nil
	} else if m != nil {
		return nil, api.Errorf(api.CodeRefused, "server %d is a member already, at %s", m.ID, m.Peer)
	}
	if err := addressIsFree(now, request.ID, request.Addresses); err != nil {
		return nil, err
	}
	id := request.ID
	if id == 0 {
		id, err = s.newMemberID(ctx, &st, 0, 0)
	} else {
		_, err = s.propose(ctx, store.EncodeUseMember(id, request.Claim))
	}
	if err != nil {
		return nil, err
	}
	m, err := s.change(ctx, single(pb.ConfChangeAddLearnerNode, id, request.Addresses))
	if err != nil {
		return nil, err
	}
	return api.Joined{ID: id, Membership: *m}, nil
}

// addressIsFree refuses a second server at an address.
func addressIsFree(now *api.Membership, id uint64, a api.Addresses) error {
	for _, m := range now.Members {
		if m.ID != id && (m.Peer == a.Peer || a.Client != "" && m.Client == a.Client) {
			return api.Errorf(api.CodeRefused, "server %d is a member at %s, for clients at %s", m.ID, m.Peer, m.Client)
		}
	}
	return nil
}

// checkAddresses refuses what others could not use, and completes the client's URL.
func checkAddresses(a *api.Addresses) error {
	err := checkAddress("peer", a.Peer, true)
	if err == nil && a.Client != "" {
		a.Client, err = clientURL(a.Client)
	}
	if err != nil {
		return api.Errorf(api.CodeBadRequest, "%v", err)
	}
	return nil
}

// clientURL returns the URL of an address for clients, which may be one already.
func clientURL(text string) (string, error) {
	scheme, address, found := strings.Cut(text, "://")
	if !found {
		scheme, address = "http", text
	}
	if scheme != "http" && scheme != "https" {
		return "", fmt.Errorf("client (%q) must be http or https", text)
	}
	return scheme + "://" + address, checkAddress("client", address, true)
}

func single(kind pb.ConfChangeType, id uint64, a api.Addresses) pb.ConfChangeSingle {
	c := pb.ConfChangeSingle{Type: kind, NodeID: id}
	if a != (api.Addresses{}) {
		c.Context = []byte(encodeContext(a))
	}
	return c
}

// change makes changes as one step and returns the configuration that comes of it, which
// is a joint one only if leaving that takes longer than the request may. It waits for an
// earlier change, and for a new leader's first entry: neither takes long.
func (s *Server) change(ctx context.Context, changes ...pb.ConfChangeSingle) (*api.Membership, error) {
	for {
		_, err := s.replica.ProposeConfChange(ctx, pb.ConfChangeV2{Changes: changes})
		if err == nil {
			return s.outcome(ctx)
		}
		early := errors.Is(err, raft.ErrConfChangePending) || errors.Is(err, raft.ErrConfChangeTooEarly)
		if !early || !errors.Is(err, replica.ErrNotApplied) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(s.cfg.Tick / 4):
		}
	}
}

// outcome returns the configuration once it is not a joint one.
func (s *Server) outcome(ctx context.Context) (*api.Membership, error) {
	for {
		st, err := s.replica.Status(ctx)
		if err != nil { // the change is made, whatever keeps this server from telling of it
			return nil, api.Errorf(api.CodeAmbiguous, "the change was made, but what came of it is not known: %v", err)
		}
		if !st.Config.Joint() {
			return s.membership(&st), nil
		}
		select {
		case <-ctx.Done():
			return s.membership(&st), nil
		case <-time.After(s.cfg.Tick / 4):
		}
	}
}

// named returns the member that a request's path names, and the state of this server.
func (s *Server) named(r *http.Request) (*api.Member, *replica.Status, error) {
	id, err := number("the member's ID", r.PathValue("id"))
	if err != nil {
		return nil, nil, err
	}
	return s.find(r.Context(), id)
}

func (s *Server) find(ctx context.Context, id uint64) (*api.Member, *replica.Status, error) {
	st, err := s.replica.Status(ctx)
	if err != nil {
		return nil, nil, err
	}
	m := s.membership(&st).Find(id)
	if m == nil {
		return nil, nil, api.Errorf(api.CodeNotFound, "there is no member %d", id)
	}
	return m, &st, nil
}

func (s *Server) updateMember(r *http.Request) (any, error) {
	var addresses api.Addresses
	if err := readJSON(r, &addresses); err != nil {
		return nil, err
	}
	if err := checkAddresses(&addresses); err != nil {
		return nil, err
	}
	m, st, err := s.named(r)
	if err != nil {
		return nil, err
	}
	if m.Addresses == addresses {
		return s.membership(st), nil
	}
	if err := addressIsFree(s.membership(st), m.ID, addresses); err != nil {
		return nil, err
	}
	return s.change(r.Context(), single(pb.ConfChangeUpdateNode, m.ID, addresses))
}

func (s *Server) promoteMember(r *http.Request) (any, error) {
	m, st, err := s.named(r)
	if err != nil {
		return nil, err
	}
	if m.Role == api.RoleVoter || m.Role == api.RoleIncoming {
		return s.membership(st), nil
	}
	if err := s.hasCaughtUp(m); err != nil {
		return nil, err
	}
	return s.change(r.Context(), single(pb.ConfChangeAddNode, m.ID, api.Addresses{}))
}

// hasCaughtUp refuses a learner that would hold up commits as a voter.
func (s *Server) hasCaughtUp(m *api.Member) error {
	switch {
	case m.Role != api.RoleLearner:
		return api.Errorf(api.CodeRefused, "server %d is no learner but %s", m.ID, m.Role)
	case m.Progress == nil:
		return api.Errorf(api.CodeUnavailable, "no leader any more")
	case !m.Progress.Active:
		return api.Errorf(api.CodeRefused, "learner %d was not heard from lately", m.ID)
	case m.Progress.State == "probe":
		return api.Errorf(api.CodeRefused, "learner %d has not answered yet: how far behind it is is not known", m.ID)
	case m.Progress.State != "replicate" || m.Progress.Behind > s.cfg.MaxLearnerLag:
		return api.Errorf(api.CodeRefused, "learner %d is %d entries behind (%s), at most %d are allowed",
			m.ID, m.Progress.Behind, m.Progress.State, s.cfg.MaxLearnerLag)
	}
	return nil
}

func (s *Server) removeMember(r *http.Request) (any, error) {
	m, st, err := s.named(r)
	if err != nil {
		return nil, err
	}
	if r.URL.Query().Get("force") != "true" {
		if err := leavesQuorum(st, m.ID, 0); err != nil {
			return nil, err
		}
	}
	if err := s.retireID(r.Context(), m.ID); err != nil {
		return nil, err
	}
	return s.change(r.Context(), single(pb.ConfChangeRemoveNode, m.ID, api.Addresses{}))
}

// leavesQuorum refuses a change after which the voters that are heard from would be no
// majority: the cluster would stand still with it. added is a voter to be, or 0.
func leavesQuorum(st *replica.Status, removed, added uint64) error {
	voters, active := 0, 0
	for _, id := range st.Config.IDs() {
		if id == removed || !st.Config.IsVoter(id) && id != added {
			continue
		}
		voters++
		if p := st.Progress[id]; p.Active || id == st.ID {
			active++
		}
	}
	if voters > 0 && active < voters/2+1 {
		return api.Errorf(api.CodeRefused,
			"without server %d there are %d voters, of which %d were heard from lately: they could not go on", removed, voters, active)
	}
	return nil
}

// replaceMember puts a learner in a voter's place, by a joint configuration: at no time
// is there a voter less, or one more.
func (s *Server) replaceMember(r *http.Request) (any, error) {
	var request api.Replace
	if err := readJSON(r, &request); err != nil {
		return nil, err
	}
	old, st, err := s.named(r)
	if err != nil {
		return nil, err
	}
	next, _, err := s.find(r.Context(), request.With)
	if err != nil {
		return nil, err
	}
	if old.Role != api.RoleVoter {
		return nil, api.Errorf(api.CodeRefused, "server %d is no voter but %s", old.ID, old.Role)
	}
	if err := s.hasCaughtUp(next); err != nil {
		return nil, err
	}
	if err := leavesQuorum(st, old.ID, next.ID); err != nil {
		return nil, err
	}
	if err := s.retireID(r.Context(), old.ID); err != nil {
		return nil, err
	}
	return s.change(r.Context(), single(pb.ConfChangeAddNode, next.ID, api.Addresses{}), single(pb.ConfChangeRemoveNode, old.ID, api.Addresses{}))
}

func (s *Server) transfer(r *http.Request) (any, error) {
	var request api.Transfer
	if err := readJSON(r, &request); err != nil {
		return nil, err
	}
	st, err := s.replica.Status(r.Context())
	if err != nil {
		return nil, err
	}
	if m := s.membership(&st).Find(request.To); m != nil && m.Progress != nil && !m.Progress.Active {
		return nil, api.Errorf(api.CodeRefused, "server %d was not heard from lately", m.ID)
	}
	if err := s.replica.TransferLeadership(r.Context(), request.To); err != nil {
		return nil, transferError(request.To, err)
	}
	return s.status(r)
}

// transferError says what an error of a hand-over means: unless it was refused it has begun,
// and may yet come to it.
func transferError(to uint64, err error) error {
	if isRefusal(err) || errors.Is(err, raft.ErrNoLeader) || errors.Is(err, raft.ErrNotLeader) {
		return err
	}
	return api.Errorf(api.CodeAmbiguous, "handing over to %d: %v", to, err)
}
