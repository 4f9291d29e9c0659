package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/store"
)

// taken checks that a server cannot have an ID.
func taken(t *testing.T, err error) *api.Error {
	t.Helper()
	var failure *api.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, api.CodeTaken, failure.Code, failure.Message)
	return failure
}

// joiner is the config of a server that joins as a learner.
func (c *cluster) joiner(name string, id uint64) Config {
	config := c.config(name)
	config.ID, config.Join, config.AsLearner = id, []string{c.leader().Addresses().Client}, true
	return config
}

// No server is added with an ID that it was not given, also not that of one which was
// removed: others may take the one for the other.
func TestMembersAreAddedWithTheirOwnIDs(t *testing.T) {
	c := three(t)
	cl := c.client()
	gone := c.servers[3]
	_, err := cl.RemoveMember(within(t), 3, false)
	require.NoError(t, err)
	c.awaitRemoved(gone)
	joined, err := cl.Join(within(t), api.Join{Claim: 5})
	require.NoError(t, err)
	require.Equal(t, uint64(4), joined.ID)
	at := api.Addresses{Peer: freeAddress(t)}
	for _, m := range []api.NewMember{
		{ID: 3}, {ID: 3, Claim: 5}, {ID: 3, Claim: gone.identity.Claim}, {ID: 4}, {ID: 4, Claim: 6}, {ID: 5}, {ID: 5, Claim: 5}, {ID: 1000},
	} {
		m.Addresses = at
		_, err := cl.AddMember(within(t), m)
		taken(t, err)
	}
	_, err = cl.AddMember(within(t), api.NewMember{ID: 4, Claim: 5, Addresses: at})
	require.NoError(t, err)
}

// Of one ID there is one server: where a learner runs, or was wiped, none comes with an empty
// directory in its place.
func TestALearnersIDIsItsOwn(t *testing.T) {
	c := three(t)
	learner := c.start(c.joiner("learner", 0))
	require.Equal(t, uint64(4), learner.ID())
	c.await(func(m *api.Membership) bool { return m.Find(4) != nil })
	for range 2 {
		_, err := Start(within(t), c.joiner("impostor", 4))
		require.Contains(t, taken(t, err).Message, "remove it, and let a new one join")
	}
	c.stop(4)
	require.NoError(t, os.RemoveAll(filepath.Join(c.dir, "learner")))
	_, err := Start(within(t), c.joiner("learner", 4))
	require.Contains(t, taken(t, err).Message, "remove it, and let a new one join")
	require.Equal(t, uint64(5), c.start(c.joiner("learner", 0)).ID(), "any other ID will do")
}

// A learner that was added beforehand is whoever first asks for its ID.
func TestALearnerThatWasAddedBeforehand(t *testing.T) {
	c := three(t)
	config := c.joiner("learner", 4)
	config.PeerListen = freeAddress(t)
	joined, err := c.client().AddMember(within(t), api.NewMember{Addresses: api.Addresses{Peer: config.PeerListen}})
	require.NoError(t, err)
	require.Equal(t, uint64(4), joined.ID)
	s := c.start(config)
	_, err = Start(within(t), c.joiner("impostor", 4))
	require.Contains(t, taken(t, err).Message, "remove it, and let a new one join")
	c.await(func(m *api.Membership) bool { return m.Find(4) != nil && m.Find(4).Addresses == s.Addresses() })
}

// Of two servers that ask for one ID at once one gets it.
func TestTwoServersWantOneID(t *testing.T) {
	c := three(t)
	type outcome struct {
		s   *Server
		err error
	}
	outcomes := make(chan outcome)
	ctx := within(t)
	for _, name := range []string{"one", "other"} {
		config := c.joiner(name, 7)
		go func() {
			s, err := Start(ctx, config)
			outcomes <- outcome{s, err}
		}()
	}
	var started []*Server
	for range 2 {
		if o := <-outcomes; o.err == nil {
			started = append(started, o.s)
			c.servers[o.s.ID()] = o.s
		} else {
			taken(t, o.err)
		}
	}
	require.Len(t, started, 1)
	require.Equal(t, uint64(7), started[0].ID())
	c.await(func(m *api.Membership) bool { return m.Find(7) != nil && m.Find(7).Addresses == started[0].Addresses() })
}

// losing returns a server that hands requests on, and loses the answers.
func losing(t *testing.T, to string, lost func()) string {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			var response *http.Response
			if response, err = http.Post(to+r.URL.Path, "", bytes.NewReader(body)); err == nil {
				err = errors.Join(response.Body.Close())
				lost()
			}
		}
		if err != nil {
			t.Log(err)
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// A server that did not hear which ID it was given gets the same one when it starts again,
// whether it wants a certain one or not, is told where to ask or not; and none is lost.
func TestTheAnswerIsLost(t *testing.T) {
	c := three(t)
	for i, test := range []struct {
		wanted, want uint64
		again        func(*Config)
	}{
		{0, 4, func(*Config) {}},
		{7, 7, func(*Config) {}},
		{9, 9, func(config *Config) { config.ID = 0 }},
		{0, 10, func(config *Config) { config.ID, config.Join, config.AsLearner = 0, nil, false }},
	} {
		config := c.joiner("learner"+strconv.Itoa(i), test.wanted)
		good := config.Join
		ctx, cancel := context.WithCancel(within(t))
		config.Join = append([]string{losing(t, good[0], cancel)}, good...)
		_, err := Start(ctx, config)
		require.ErrorIs(t, err, context.Canceled)
		pending, err := readIdentity(config.Dir)
		require.NoError(t, err)
		require.True(t, pending.pending())

		config.Join = good
		test.again(&config)
		s := c.start(config)
		require.Equal(t, test.want, s.ID())
		require.Equal(t, pending.Claim, s.identity.Claim)
		c.await(func(m *api.Membership) bool { return m.Find(s.ID()) != nil && m.Find(s.ID()).Role == api.RoleLearner })
	}
}

// Nor does it matter when a process is killed between the answer and its disk: asked again,
// the cluster gives the claim what it gave before.
func TestAClaimIsGivenTheSame(t *testing.T) {
	c := three(t)
	cl := c.client()
	for range 2 {
		for claim := uint64(1); claim < 4; claim++ {
			joined, err := cl.Join(within(t), api.Join{Claim: claim})
			require.NoError(t, err)
			require.Equal(t, 3+claim, joined.ID)
		}
	}
	_, err := cl.Join(within(t), api.Join{ID: 9, Claim: 1})
	require.Contains(t, taken(t, err).Message, "was given the ID 4 before")
	status, failure := c.ask(c.follower(), http.MethodPost, "/v1/join", `{}`, nil)
	require.Equal(t, 400, status)
	require.Contains(t, failure.Message, "a claim must be given")
	status, _ = c.ask(c.leader(), http.MethodPost, "/v1/members", api.NewMember{Claim: 1, Addresses: api.Addresses{Peer: freeAddress(t)}}, nil)
	require.Equal(t, 400, status)
}

// One request does not use up all IDs.
func TestAnIDThatIsTooHigh(t *testing.T) {
	c := three(t)
	cl := c.client()
	for _, id := range []uint64{store.MaxMember, store.MaxMember - 1, 4 + store.MaxMemberSkip} {
		_, err := cl.Join(within(t), api.Join{ID: id, Claim: 1})
		require.Contains(t, taken(t, err).Message, "is more than 1000000 above")
	}
	joined, err := cl.Join(within(t), api.Join{Claim: 2})
	require.NoError(t, err)
	require.Equal(t, uint64(4), joined.ID)
}

// A server that was added and removed before it knew of either is not added again, and ends
// rather than ask for ever.
func TestRemovedBeforeItKnew(t *testing.T) {
	c := three(t)
	cl := c.client()
	joined, err := cl.Join(within(t), api.Join{Claim: 5})
	require.NoError(t, err)
	config := c.joiner("joiner", 0)
	require.NoError(t, os.MkdirAll(config.Dir, 0o755))
	leader := c.leader()
	id := identity{
		Format: identityFormat, Cluster: leader.identity.Cluster, ID: joined.ID, Claim: 5, Log: logDir,
		Via: []string{leader.Addresses().Client}, Joining: api.RoleVoter,
	}
	require.NoError(t, id.save(config.Dir))
	_, err = cl.AddMember(within(t), api.NewMember{ID: joined.ID, Claim: 5, Addresses: api.Addresses{Peer: freeAddress(t)}})
	require.NoError(t, err)
	_, err = cl.RemoveMember(within(t), joined.ID, false)
	require.NoError(t, err)
	c.awaitRemoved(c.start(config))
	m, err := cl.Members(within(t))
	require.NoError(t, err)
	require.Nil(t, m.Find(joined.ID))
}

// A directory whose server has asked to join is that of no other, nor of a cluster's first
// member, and there is nothing in it yet.
func TestPendingDirectory(t *testing.T) {
	c := newCluster(t)
	config := c.config("pending")
	config.Join = []string{"http://" + freeAddress(t)}
	ctx, cancel := context.WithCancel(within(t))
	cancel()
	_, err := Start(ctx, config)
	require.ErrorIs(t, err, context.Canceled)
	_, err = Recover(RecoverConfig{Dir: config.Dir})
	require.ErrorIs(t, err, ErrNothingToRecover)
	first := config
	first.ID, first.Join, first.PeerListen = 1, nil, freeAddress(t)
	first.Members = map[uint64]string{1: first.PeerListen}
	_, err = Start(within(t), first)
	require.ErrorIs(t, err, ErrIdentity)
	require.NoError(t, os.Mkdir(filepath.Join(config.Dir, logDir), 0o755))
	_, err = Start(within(t), config)
	require.ErrorIs(t, err, ErrDamaged)
}

// A new cluster that is made of a survivor gives no server an ID of the old one, whose
// members nobody had to ask for; and who was about to join the old one does not come into
// the new.
func TestRecoverRetiresTheOldMembers(t *testing.T) {
	c := newCluster(t)
	members := map[uint64]string{}
	for id := uint64(1); id <= 3; id++ {
		members[id] = freeAddress(t)
	}
	c.found("server", members)
	joined, err := c.client().Join(within(t), api.Join{ID: 3 + 2, Claim: 5})
	require.NoError(t, err)
	require.Equal(t, uint64(5), joined.ID)
	require.NoError(t, c.servers[1].replica.Read(within(t)), "it has the claim")
	for id := range members {
		c.stop(id)
	}
	for range 2 { // also if it is done twice before the server starts
		_, err = Recover(RecoverConfig{Dir: filepath.Join(c.dir, "server1")})
		require.NoError(t, err)
	}
	c.start(c.config("server1"))
	cl := c.client()
	for id := uint64(2); id <= 3; id++ {
		_, err = cl.Join(within(t), api.Join{ID: id, Claim: 8})
		taken(t, err)
	}
	_, err = cl.AddMember(within(t), api.NewMember{ID: 5, Claim: 5, Addresses: api.Addresses{Peer: freeAddress(t)}})
	taken(t, err)
	joined, err = cl.Join(within(t), api.Join{Claim: 9})
	require.NoError(t, err)
	require.Equal(t, uint64(6), joined.ID)
}
