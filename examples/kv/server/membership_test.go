package server

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
)

func specs(ids ...uint64) (list []api.MemberSpec) {
	for _, id := range ids {
		list = append(list, api.MemberSpec{ID: id})
	}
	return list
}

// standby starts a server that stays a learner.
func (c *cluster) standby(id uint64) *Server {
	c.t.Helper()
	config := c.config("standby" + strconv.FormatUint(id, 10))
	config.Join, config.AsLearner = []string{c.leader().Addresses().Client}, true
	s := c.start(config)
	require.Equal(c.t, id, s.ID())
	c.await(func(m *api.Membership) bool { me := m.Find(id); return me != nil && me.Addresses == s.Addresses() })
	return s
}

// An operator says who the members are to be, and the cluster does the rest: a learner takes
// the leader's place. Who is left over ends, and its ID is nobody's any more.
func TestSetMembership(t *testing.T) {
	c := three(t)
	c.standby(4)
	cl, old := c.client(), c.leader()
	var stay []uint64
	for _, id := range []uint64{1, 2, 3, 4} {
		if id != old.ID() {
			stay = append(stay, id)
		}
	}
	now, err := cl.Membership(within(t))
	require.NoError(t, err)
	version := now.Index
	request := api.SetMembership{Voters: specs(stay...), ExpectVersion: &version}
	plan, err := cl.PlanMembership(within(t), request)
	// Until the learner has answered, which may be a moment later, that stands against it.
	for deadline := time.Now().Add(patience); err == nil && len(plan.Obstacles) > 0 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		plan, err = cl.PlanMembership(within(t), request)
	}
	require.NoError(t, err)
	require.Empty(t, plan.Obstacles)
	require.Equal(t, now.Index, plan.Version)
	require.Equal(t, []uint64{old.ID()}, plan.Leaving)
	require.Equal(t, []int{2, 2}, plan.Steps[1].Quorums)
	require.Empty(t, plan.Refusal)

	set, err := cl.SetMembership(within(t), request)
	require.NoError(t, err)
	outcome, err := cl.AwaitMembership(within(t), set.Version)
	require.NoError(t, err)
	require.Equal(t, api.ResultReached, outcome.Result)
	c.awaitRemoved(old)
	now, err = cl.Membership(within(t))
	require.NoError(t, err)
	require.Equal(t, stay, now.VoterIDs())
	require.Equal(t, outcome, *now.LastOutcome)
	require.Nil(t, now.Target)

	var failure *api.Error
	_, err = cl.SetMembership(within(t), request)
	require.ErrorAs(t, err, &failure)
	require.Equal(t, api.CodeRefused, failure.Code, "it is another configuration now")
	request = api.SetMembership{Voters: append(specs(stay...), api.MemberSpec{ID: old.ID(), Addresses: api.Addresses{Peer: freeAddress(t)}})}
	_, err = cl.SetMembership(within(t), request)
	require.ErrorAs(t, err, &failure)
	require.Equal(t, api.CodeTaken, failure.Code)
	_, err = cl.CancelMembership(within(t), 0)
	require.ErrorAs(t, err, &failure)
	require.Equal(t, api.CodeNotFound, failure.Code)
	_, err = cl.AwaitMembership(within(t), 1)
	require.ErrorAs(t, err, &failure)
	require.Equal(t, api.CodeCompacted, failure.Code)
}

// What makes no sense is refused with what is wrong, and a second server at an address too.
func TestMembershipsThatMakeNoSense(t *testing.T) {
	c := three(t)
	s := c.leader()
	spec := func(id uint64, peer string) api.MemberSpec {
		return api.MemberSpec{ID: id, Addresses: api.Addresses{Peer: peer}}
	}
	for _, bad := range []struct {
		request api.SetMembership
		status  int
		text    string
	}{
		{api.SetMembership{}, 400, "voters"},
		{api.SetMembership{Voters: specs(1, 0)}, 400, "must be between 1"},
		{api.SetMembership{Voters: specs(1, 2, 2)}, 400, "named twice"},
		{api.SetMembership{Voters: specs(1, 2), Learners: specs(2)}, 400, "2"},
		{api.SetMembership{Voters: specs(1, 2, 9)}, 400, "server 9 is no member yet"},
		{api.SetMembership{Voters: append(specs(1, 2, 3), api.MemberSpec{ID: 9, Addresses: api.Addresses{Client: "http://a:1"}})}, 400, "no member yet"},
		{api.SetMembership{Voters: append(specs(1, 2, 3), spec(9, "nowhere"))}, 400, "host:port"},
		{api.SetMembership{Voters: append(specs(1, 2, 3), spec(9, s.Addresses().Peer))}, 409, "is a member at"},
	} {
		for method, path := range map[string]string{http.MethodPut: "/v1/membership", http.MethodPost: "/v1/membership/plan"} {
			status, failure := c.ask(s, method, path, bad.request, nil)
			if status == http.StatusTemporaryRedirect { // another leads by now
				s = c.leader()
				status, failure = c.ask(s, method, path, bad.request, nil)
			}
			require.Equal(t, bad.status, status, failure)
			require.Contains(t, failure.Message, bad.text)
		}
	}
	status, failure := c.ask(s, http.MethodGet, "/v1/membership/outcome", nil, nil)
	require.Equal(t, 400, status, failure)
	status, failure = c.ask(s, http.MethodGet, "/v1/membership/outcome?version=9000000", nil, nil)
	require.Equal(t, 200, status, failure)
	require.Equal(t, []uint64{1, 2, 3}, s.voters(t))
}

// With automatic repair a voter that is gone is replaced by the learner, unless it is paused.
func TestAutoRepair(t *testing.T) {
	c := newCluster(t)
	c.auto = func(config *Config) {
		config.AutoRepair, config.RepairAfter, config.RepairPaused = true, 20*config.Tick, true
	}
	c.grow(3)
	dead := c.follower()
	c.standby(4)
	c.stop(dead.ID())
	asked := func() (r api.Repair) {
		status, failure := c.ask(c.leader(), http.MethodGet, "/v1/repair", nil, &r)
		require.Equal(t, 200, status, failure)
		return r
	}
	for began := time.Now(); time.Since(began) < 2*time.Second; time.Sleep(50 * time.Millisecond) {
		require.Equal(t, "paused", asked().Decision, "for longer than it takes")
	}
	require.Contains(t, c.leader().voters(t), dead.ID())
	for _, s := range c.servers {
		var r api.Repair
		status, failure := c.ask(s, http.MethodPost, "/v1/repair", api.PauseRepair{}, &r)
		require.Equal(t, 200, status, failure)
		require.True(t, r.Enabled)
		require.False(t, r.Paused)
	}
	c.await(func(m *api.Membership) bool {
		spare := m.Find(4)
		return m.Find(dead.ID()) == nil && spare != nil && spare.Role == api.RoleVoter && !m.Joint
	})
	_, err := c.client().Put(within(t), []byte("k"), []byte("v"))
	require.NoError(t, err)
}
