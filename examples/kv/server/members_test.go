package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	"github.com/quorate-raft/raft/examples/kv/api"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/replica"
)

// voters returns the voters of the configuration that the server has.
func (s *Server) voters(t *testing.T) (ids []uint64) {
	t.Helper()
	st, err := s.replica.Status(within(t))
	require.NoError(t, err)
	for _, m := range s.membership(&st).Members {
		if m.Role == api.RoleVoter {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// A server that joins is told no more than the address of one that is there, which need
// not be the leader; it becomes a voter by itself, or stays a learner if it is to.
func TestJoining(t *testing.T) {
	c := three(t)
	config := c.config("learner")
	config.Join, config.AsLearner = []string{c.follower().Addresses().Client}, true
	learner := c.start(config)
	isLearner := func(m *api.Membership) bool {
		me := m.Find(learner.ID())
		return me != nil && me.Role == api.RoleLearner && me.Addresses == learner.Addresses()
	}
	c.await(isLearner)
	require.Equal(t, []uint64{1, 2, 3}, learner.voters(t))
	revision, err := c.client().Put(within(t), []byte("k"), []byte("v"))
	require.NoError(t, err)
	var e api.Entry
	status, failure := c.ask(learner, http.MethodGet, "/v1/kv/k", nil, &e)
	require.Equal(t, 200, status, failure)
	require.Equal(t, revision, e.Revision)

	// Over a restart, without being told again, it is who it was.
	id := learner.ID()
	c.stop(id)
	config.Join, config.AsLearner = nil, false
	learner = c.start(config)
	require.Equal(t, id, learner.ID())
	c.await(isLearner)
}

// An ID is given to one server and never again, also not that of a member which was
// removed and for which nobody had asked: others may take the one for the other.
func TestIDsAreNeverGivenAgain(t *testing.T) {
	c := three(t)
	cl := c.client()
	gone := c.servers[3]
	_, err := cl.RemoveMember(within(t), 3, false)
	require.NoError(t, err)
	c.awaitRemoved(gone)
	for want := uint64(4); want < 6; want++ {
		joined, err := cl.Join(within(t), api.Join{Claim: want})
		require.NoError(t, err)
		require.Equal(t, want, joined.ID)
	}
	_, err = cl.Join(within(t), api.Join{ID: 3, Claim: 6})
	require.Contains(t, taken(t, err).Message, "is, or was, another server's")
	joined, err := cl.Join(within(t), api.Join{ID: 20, Claim: 6})
	require.NoError(t, err)
	require.Equal(t, uint64(20), joined.ID)
	joined, err = cl.Join(within(t), api.Join{Claim: 7})
	require.NoError(t, err)
	require.Equal(t, uint64(21), joined.ID)
}

// A voter that comes back without its directory has forgotten its votes, and is not taken
// for who it was (dissertation §3.8).
func TestAVoterWithoutItsDirectoryIsRefused(t *testing.T) {
	c := three(t)
	c.stop(2)
	config := c.config("empty")
	config.ID, config.Join = 2, []string{c.leader().Addresses().Client}
	_, err := Start(within(t), config)
	require.ErrorContains(t, err, "remove it, and let a new one join")
}

// A removed server stops and says why, also the leader; and it does not start again as if
// it were a member.
func TestRemovedServersStop(t *testing.T) {
	c := three(t)
	cl := c.client()
	leader := c.leader()
	_, err := cl.RemoveMember(within(t), leader.ID(), false)
	require.NoError(t, err)
	c.awaitRemoved(leader)
	config := c.config("server" + strconv.FormatUint(leader.ID(), 10))
	_, err = Start(within(t), config)
	require.ErrorIs(t, err, ErrRemoved)
}

// A server that was removed while it was down learns it from the others, which send it
// nothing any more.
func TestRemovedWhileDown(t *testing.T) {
	c := newCluster(t)
	c.grow(4)
	config := c.config("server4")
	c.stop(4)
	_, err := c.client().RemoveMember(within(t), 4, false)
	require.NoError(t, err)
	s := c.start(config)
	c.awaitRemoved(s)
	// It does not forget that when nobody is there to tell it again.
	for id := range c.servers {
		c.stop(id)
	}
	_, err = Start(within(t), config)
	require.ErrorIs(t, err, ErrRemoved)
	recovered, err := Recover(RecoverConfig{Dir: config.Dir, DryRun: true})
	require.NoError(t, err)
	require.True(t, recovered.Removed)
}

// No two members have one address, whether they come with it or change to it.
func TestOneServerAtAnAddress(t *testing.T) {
	c := three(t)
	s := c.leader()
	taken := c.follower()
	for _, a := range []api.Addresses{
		{Peer: taken.Addresses().Peer, Client: "http://127.0.0.1:1"}, {Peer: "127.0.0.1:1", Client: taken.Addresses().Client},
	} {
		status, failure := c.ask(s, http.MethodPost, "/v1/members", a, nil)
		require.Equal(t, 409, status, failure)
		status, failure = c.ask(s, http.MethodPut, "/v1/members/"+strconv.FormatUint(s.ID(), 10), a, nil)
		require.Equal(t, 409, status, failure)
	}
}

// A change of membership is the leader's, to which others redirect; and one that would
// leave the cluster without a quorum that is heard from is refused unless it is forced.
func TestChangesThatWouldStopTheCluster(t *testing.T) {
	c := three(t)
	c.stop(c.follower().ID())
	var failure api.Error
	status := 0
	for deadline := time.Now().Add(patience); status != 409 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		leader, up := c.leader(), c.follower()
		path := "/v1/members/" + strconv.FormatUint(up.ID(), 10)
		st, err := leader.replica.Status(within(t))
		require.NoError(t, err)
		if _, leads := leader.replica.Leader(); !leads || silent(leader.membership(&st)) != 1 {
			continue // the one that is down counts as heard from for an election timeout yet
		}
		if status, _ = c.ask(up, http.MethodDelete, path, nil, nil); status == http.StatusTemporaryRedirect {
			status, failure = c.ask(leader, http.MethodDelete, path, nil, nil)
		}
	}
	require.Equal(t, 409, status)
	require.Equal(t, api.CodeRefused, failure.Code)
	require.Contains(t, failure.Message, "2 voters, of which 1")
}

func silent(m *api.Membership) (n int) {
	for _, member := range m.Members {
		if member.Progress != nil && !member.Progress.Active {
			n++
		}
	}
	return n
}

// A learner is made a voter once it has caught up, and no sooner: as a voter that is far
// behind it would hold up every commit (dissertation §4.2.1).
func TestPromotionWaitsForCatchingUp(t *testing.T) {
	c := three(t)
	cl := c.client()
	// Nobody listens there, so it does not catch up at all.
	joined, err := cl.AddMember(within(t), api.NewMember{Addresses: api.Addresses{Peer: freeAddress(t)}})
	require.NoError(t, err)
	require.Equal(t, uint64(4), joined.ID)
	var failure *api.Error
	_, err = cl.Promote(within(t), 4)
	require.ErrorAs(t, err, &failure)
	require.Equal(t, api.CodeRefused, failure.Code)
	_, err = cl.Replace(within(t), 1, 4)
	require.ErrorAs(t, err, &failure)
	require.Equal(t, api.CodeRefused, failure.Code)
	_, err = cl.Replace(within(t), 4, 1)
	require.ErrorAs(t, err, &failure)
	require.Contains(t, failure.Message, "no voter")
	require.Equal(t, []uint64{1, 2, 3}, c.leader().voters(t))

	// Added again at the same addresses, by one who did not hear the answer, it is the same.
	again, err := cl.AddMember(within(t), api.NewMember{ID: 4, Addresses: joined.Find(4).Addresses})
	require.NoError(t, err)
	require.Equal(t, uint64(4), again.ID)
	_, err = cl.AddMember(within(t), api.NewMember{Addresses: joined.Find(4).Addresses})
	require.ErrorAs(t, err, &failure)
	require.Contains(t, failure.Message, "server 4 is a member at")
}

// A learner takes a voter's place in one joint change, also the leader's.
func TestReplaceTheLeader(t *testing.T) {
	c := three(t)
	config := c.config("learner")
	config.Join, config.AsLearner = []string{c.follower().Addresses().Client}, true
	learner := c.start(config)
	c.await(func(m *api.Membership) bool { return m.Find(4) != nil })
	old := c.leader()
	var last error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, last = c.client().Replace(within(t), old.ID(), learner.ID()); last == nil {
			break // it had caught up
		}
	}
	require.NoError(t, last)
	c.awaitRemoved(old)
	c.await(func(m *api.Membership) bool {
		return !m.Joint && len(m.Members) == 3 && m.Find(old.ID()) == nil && m.Find(learner.ID()).Role == api.RoleVoter
	})
	_, err := c.client().Put(within(t), []byte("k"), []byte("v"))
	require.NoError(t, err)
}

// A change that was made is not said not to have been, whatever went wrong afterwards; nor is
// a hand-over that has begun.
func TestChangesThatAreCutOff(t *testing.T) {
	c := three(t)
	s := c.leader()
	ctx, cancel := context.WithCancel(within(t))
	change := single(pb.ConfChangeAddLearnerNode, 9, api.Addresses{Peer: "127.0.0.1:1"})
	_, err := s.change(ctx, change)
	require.NoError(t, err)
	cancel()
	_, err = s.outcome(ctx)
	require.Equal(t, api.CodeAmbiguous, s.explain(err).Code)

	for code, err := range map[api.Code][]error{
		api.CodeAmbiguous:   {context.DeadlineExceeded, replica.ErrStopped, errors.New("it did not come to it")},
		api.CodeRefused:     {&raft.TransferError{Target: 9, Why: "no voter"}},
		api.CodeUnavailable: {raft.ErrNoLeader, raft.ErrNotLeader},
	} {
		for _, err := range err {
			require.Equal(t, code, s.explain(transferError(9, err)).Code, "%v", err)
		}
	}
}

// A change that a server passes on, as it has just lost the lead, is refused by the leader
// with the reason, and waits for an earlier one as it does there. What may have been made
// is not said to be refused.
func TestChangesThatArePassedOn(t *testing.T) {
	c := three(t)
	var err error
	for range 20 {
		_, err = c.follower().change(within(t), single(pb.ConfChangeRemoveNode, 9, api.Addresses{}))
		require.Error(t, err)
		if errors.Is(err, confchange.ErrUnknownNode) {
			break // else there was an election
		}
	}
	failure := c.leader().explain(err)
	require.Equal(t, api.CodeRefused, failure.Code)
	require.Contains(t, failure.Message, "unknown node")

	var done sync.WaitGroup
	for id := uint64(9); id < 13; id++ {
		done.Go(func() {
			_, err := c.follower().change(within(t), single(pb.ConfChangeAddLearnerNode, id, api.Addresses{Peer: "127.0.0.1:1"}))
			assert.True(t, err == nil || errors.Is(err, replica.ErrAmbiguous), "%v", err)
		})
	}
	done.Wait()
	for want, err := range map[api.Code]error{
		api.CodeAmbiguous:   errors.Join(replica.ErrAmbiguous, &raft.ConfChangeError{Reason: raft.ErrConfChangePending}),
		api.CodeUnavailable: errors.Join(replica.ErrNotApplied, raft.ErrTransferring),
		api.CodeRefused:     errors.Join(replica.ErrNotApplied, &raft.ConfChangeError{Reason: raft.ErrConfChangePending}),
	} {
		require.Equal(t, want, c.leader().explain(err).Code, "%v", err)
	}
}

// A server that is not heard from cannot take over, and is not asked to.
func TestTransferToADeadVoter(t *testing.T) {
	c := three(t)
	dead := c.follower().ID()
	c.stop(dead)
	var failure *api.Error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(within(t), 5*time.Second)
		_, err := c.client().Transfer(ctx, dead)
		cancel()
		if errors.As(err, &failure) && failure.Code == api.CodeRefused {
			break // it counts as heard from for an election timeout yet
		}
	}
	require.NotNil(t, failure)
	require.Contains(t, failure.Message, "not heard from")
}

// Leadership goes where it is sent, or if that is left to the leader, elsewhere.
func TestTransfer(t *testing.T) {
	c := three(t)
	target := c.follower().ID()
	st, err := c.client().Transfer(within(t), target)
	require.NoError(t, err)
	require.Equal(t, target, st.Leader)
	st, err = c.client().Transfer(within(t), 0)
	require.NoError(t, err)
	require.NotEqual(t, target, st.Leader)
}
