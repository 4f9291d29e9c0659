package server

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/client"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/replica"
)

const (
	// upkeepRetry is how long what did not work, or has to work first, is waited for.
	upkeepRetry = 200 * time.Millisecond
	// aloneInterval is how often a server without a leader asks others whether it was
	// removed: a voter is told when it asks for votes, a learner by nobody else.
	aloneInterval = 2 * time.Second
	// worthALine is after how long what does not work is logged, and how often.
	worthALine = 5 * time.Second
)

// upkeep makes the configuration say of this server what it should: that it is a
// member, with the role that it joined for, at its addresses. It ends the server when
// it was removed.
func (s *Server) upkeep() {
	events := s.replica.Watch(64)
	defer events.Close()
	since := time.Now()
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-s.background.Done():
			return
		case e, ok := <-events.C:
			if !ok {
				return
			}
			s.noteEvent(&e)
			if e.Kind != replica.ConfigChanged && e.Kind != replica.Removed && e.Missed == 0 {
				continue
			}
		case <-next.C:
		}
		again, err := s.tend()
		if err == nil {
			since = time.Now()
		} else if s.background.Err() == nil {
			level := zap.DebugLevel // most things come right by themselves
			if time.Since(since) > worthALine {
				level, since = zap.InfoLevel, time.Now()
			}
			s.log.Log(level, "will try again", zap.Error(err))
		}
		if again {
			next.Reset(upkeepRetry)
		} else {
			next.Reset(aloneInterval)
		}
	}
}

func (s *Server) noteEvent(e *replica.Event) {
	switch e.Kind {
	case replica.LeaderChanged:
		s.metrics.leaderChanges.Inc()
	case replica.ConfigChanged:
		s.log.Info("configuration", zap.Uint64("index", e.Index), zap.Uint64s("voters", e.Config.Voters),
			zap.Uint64s("outgoing", e.Config.VotersOutgoing), zap.Uint64s("learners", e.Config.Learners))
	case replica.TargetSet:
		s.log.Info("membership target", zap.Uint64("version", e.Target.Version), zap.Uint64s("voters", e.Target.Voters),
			zap.Uint64s("learners", e.Target.Learners))
	case replica.TargetEnded:
		s.log.Info("membership target ended", zap.Uint64("version", e.Outcome.Version), zap.Stringer("outcome", outcomeOf(e.Outcome)))
	case replica.SnapshotTaken:
		s.metrics.snapshotsTaken.Inc()
	case replica.SnapshotRestored:
		s.metrics.snapshotsRestored.Inc()
		s.log.Info("restored a snapshot", zap.Uint64("index", e.Index))
	}
}

// tend does what is to be done next, if anything, and reports whether it has to be
// seen to again soon.
func (s *Server) tend() (again bool, err error) {
	ctx, cancel := context.WithTimeout(s.background, s.cfg.RequestTimeout)
	defer cancel()
	st, err := s.replica.Status(ctx)
	if err != nil {
		return false, nil // the server stops
	}
	if st.Durable > 0 && !s.identity.Lived {
		s.identity.Lived = true
		if err := s.identity.save(s.cfg.Dir); err != nil {
			return true, err
		}
	}
	me := s.membership(&st).Find(s.identity.ID)
	if me != nil && s.identity.Member == 0 {
		if err := s.noteMember(st.ConfigIndex); err != nil {
			return true, err
		}
	}
	wait := aloneInterval
	if st.Removal.Index != 0 { // a member says so
		wait = upkeepRetry
	}
	if now := time.Now(); st.Lead != raft.None || s.identity.Member == 0 {
		s.alone = now
	} else if now.Sub(s.alone) >= wait {
		s.alone = now
		s.askIfRemoved(ctx, &st)
	}
	joining := s.identity.Joining
	switch {
	case me == nil && s.identity.Member == 0:
		return true, s.askToBeAdded(ctx, &st)
	case me == nil && s.identity.wasRemoved(st.ConfigIndex):
		return true, s.leave(&st)
	case me == nil: // what is applied does not reach so far yet
	case decodeContext(string(st.Config.Context(me.ID))) != s.addresses:
		return true, s.tellAddresses(ctx, &st)
	case joining == api.RoleVoter && me.Role == api.RoleLearner:
		return true, s.askToBePromoted(ctx, &st)
	case joining != "":
		// If somebody has given the server another role meanwhile, that counts.
		s.identity.Joining = ""
		return false, s.noteMember(st.ConfigIndex)
	}
	return false, nil
}

// tellAddresses puts this server's addresses in the configuration.
func (s *Server) tellAddresses(ctx context.Context, st *replica.Status) error {
	if st.Lead == raft.None {
		// As long as the others send to an old address, this server hears from no leader,
		// nor what became of a proposal. So they are asked to make it.
		return s.askOthers(s.otherURLs(st), func(c *client.Client) error {
			_, err := c.UpdateMember(ctx, s.identity.ID, s.addresses)
			return err
		})
	}
	// Others may be at the same, and a follower is not told that its change was refused:
	// so it does not wait for long.
	ctx, cancel := context.WithTimeout(ctx, 2*upkeepRetry+rand.N(2*upkeepRetry))
	defer cancel()
	_, err := s.replica.ProposeConfChange(ctx, addressChange(s.identity.ID, s.addresses))
	return err
}

func addressChange(id uint64, a api.Addresses) pb.ConfChangeV2 {
	return pb.ConfChangeV2{Changes: []pb.ConfChangeSingle{
		{Type: pb.ConfChangeUpdateNode, NodeID: id, Context: []byte(encodeContext(a))},
	}}
}

// checkLog refuses to start a server that has lost its log, or a part of it: it has voted
// and answered for what was in it.
func (s *Server) checkLog() error {
	last, err := s.storage.LastIndex()
	if err != nil {
		return err
	}
	applied, err := s.store.Applied()
	if err != nil {
		return err
	}
	if last == 0 && s.identity.Lived || applied > last {
		return fmt.Errorf("%w: the log of server %d in %s ends at entry %d, the state is of entry %d; "+
			"remove the server from the cluster, and let a new one join with an empty directory", ErrDamaged, s.identity.ID, s.cfg.Dir, last, applied)
	}
	return nil
}

// checkMember refuses to start a server that knows that it is no member any more.
func (s *Server) checkMember() error {
	_, cs, err := s.storage.InitialState()
	if err != nil {
		return err
	}
	config, err := confchange.Restore(cs)
	if err != nil {
		return err
	}
	removed := s.identity.Removed
	if s.identity.wasRemoved(cs.Index) && !config.Contains(s.identity.ID) {
		removed = cs.Index
	}
	if removed != 0 {
		return fmt.Errorf("%w: server %d by log entry %d; a new one joins with another directory than %s",
			ErrRemoved, s.identity.ID, removed, s.cfg.Dir)
	}
	return nil
}
