package server

import (
	"context"
	"net/http"

	"github.com/quorate-raft/raft/examples/kv/api"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/repair"
)

// startRepair starts to look after voters that are gone, if that is wanted.
func (s *Server) startRepair() (err error) {
	if !s.cfg.AutoRepair {
		return nil
	}
	s.repair, err = repair.New(repair.Config{
		Group: repaired{repair.Of(s.replica), s}, Policy: s.cfg.repairPolicy(), Logger: s.log.Named("repair"),
	})
	if err != nil {
		return err
	}
	s.running.Go(func() { s.repair.Run(s.background) })
	return nil
}

func (c *Config) repairPolicy() repair.Policy {
	p := repair.Policy{
		Learners: len(c.Spares) == 0, MembersOnly: true, After: c.RepairAfter, MinVoters: c.RepairMinVoters,
		Cooldown: c.RepairCooldown, Paused: c.RepairPaused,
	}
	for _, id := range c.Spares {
		p.Spares = append(p.Spares, pb.Member{ID: id})
	}
	return p
}

// repaired is the cluster as a supervisor sees it: an ID that goes is retired before.
type repaired struct {
	repair.Group
	s *Server
}

func (g repaired) Propose(ctx context.Context, m pb.Membership, term uint64) (uint64, error) {
	select { // one at a time, as with what clients ask for
	case g.s.changing <- struct{}{}:
		defer func() { <-g.s.changing }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	st, err := g.s.replica.Status(ctx)
	if err != nil {
		return 0, err
	}
	if err := g.s.retireLeaving(ctx, &st, m); err != nil {
		return 0, err
	}
	return g.Group.Propose(ctx, m, term)
}

func (s *Server) repairStatus(*http.Request) (any, error) {
	if s.repair == nil {
		return api.Repair{}, nil
	}
	st := s.repair.Status()
	if st.Decision.Kind == repair.Paused && !st.Policy.Paused { // it has not looked since it goes on
		return api.Repair{Enabled: true, Replaced: st.Replaced}, nil
	}
	return api.Repair{
		Enabled: true, Paused: st.Policy.Paused, Decision: st.Decision.String(), Kind: st.Decision.Kind.String(), Replaced: st.Replaced,
	}, nil
}

func (s *Server) pauseRepair(r *http.Request) (any, error) {
	var request api.PauseRepair
	if err := readJSON(r, &request); err != nil {
		return nil, err
	}
	if s.repair == nil {
		return nil, api.Errorf(api.CodeRefused, "server %d was started without --auto-repair", s.ID())
	}
	s.repair.SetPaused(request.Paused)
	return s.repairStatus(r)
}

// checkRepair refuses limits that make no sense.
func (c *Config) checkRepair() error {
	if !c.AutoRepair {
		return nil
	}
	p := c.repairPolicy()
	return p.Validate()
}
