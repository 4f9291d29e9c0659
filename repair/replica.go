package repair

import (
	"context"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/replica"
)

// Of returns the group that a replica is a member of. Confirm is a read: with
// raft.ReadOnlyLeaseBased a lease, which is as safe as clocks are, confirms instead of a
// quorum. A quorum has to commit the proposal all the same.
func Of(r *replica.Replica) Group { return ofReplica{r} }

type ofReplica struct{ *replica.Replica }

func (r ofReplica) Look(ctx context.Context) (View, error) {
	st, err := r.Status(ctx)
	if err != nil {
		return View{}, err
	}
	cs := st.Config.ConfState()
	cs.Index = st.ConfigIndex
	return View{
		ID: st.ID, Term: st.Term, Leads: st.RaftState == raft.StateLeader, Config: cs,
		Changing: st.PendingConfIndex != 0 || st.LeadTransferee != raft.None,
		Silent:   st.Silent, ElectionTimeout: st.ElectionTimeout,
	}, nil
}

func (r ofReplica) Confirm(ctx context.Context) error { return r.Read(ctx) }

func (r ofReplica) Propose(ctx context.Context, m pb.Membership, term uint64) (uint64, error) {
	return r.ProposeMembershipInTerm(ctx, m, term)
}
