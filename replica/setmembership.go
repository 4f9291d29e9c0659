package replica

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
)

// What can become of waiting for the outcome of a membership target. A TargetError says
// for which target.
var (
	// ErrOutcomeUnknown: the target has ended, and this replica cannot tell how: it got a
	// snapshot in the place of the entries that would say so, and another target was set
	// since. Another member may know.
	ErrOutcomeUnknown = errors.New("replica: how the membership target has ended is not known here")
	// ErrNoTarget: no target stands, or there never was one of that version.
	ErrNoTarget = errors.New("replica: there is no such membership target")
	// ErrNotMember: this replica was removed, so that it hears of nothing any more. Another
	// member knows. It matches ErrOutcomeUnknown too.
	ErrNotMember = fmt.Errorf("%w: this replica is no member any more", ErrOutcomeUnknown)
)

// TargetError is why the outcome of a target that was set is not known. As long as the
// target stands the group works on, so one may wait again or cancel it.
type TargetError struct {
	// Version is that of the target, 0 if none stands.
	Version uint64
	// Err is ErrOutcomeUnknown, ErrNotMember, ErrNoTarget, ErrStopped or that of the context.
	Err error
}

// Error names the target and the reason.
func (e *TargetError) Error() string {
	if e.Version == 0 {
		return "replica: no membership target stands"
	}
	return fmt.Sprintf("replica: membership target %d: %s", e.Version, strings.TrimPrefix(e.Err.Error(), "replica: "))
}

// Unwrap returns the reason.
func (e *TargetError) Unwrap() error { return e.Err }

// SetMembership lets the group become m and returns how that ended: as reached, aborted
// with a reason, or superseded by another target (dissertation §4; see
// raft.RawNode.ProposeMembership). It may be called on any member.
//
// An error before the target stands is one of ProposeMembership. After that it is a
// TargetError: that ctx ended says nothing about the target, which the group goes on
// with; see AwaitMembership and CancelMembership.
func (r *Replica) SetMembership(ctx context.Context, m pb.Membership) (pb.MembershipOutcome, error) {
	version, err := r.ProposeMembership(ctx, m)
	if err != nil {
		return pb.MembershipOutcome{}, err
	}
	return r.AwaitMembership(ctx, version)
}

// ProposeMembership is SetMembership that does not wait for the outcome: it returns the
// version of the target when that stands. Refusals that pass by themselves it waits
// out: no leader, a leader that is new or about to go, an earlier change that is not
// applied yet; and for two election timeouts that a member has not said that it knows of
// targets.
//
// Errors match ErrNotApplied or ErrAmbiguous as those of ProposeConfChange, and the
// reason: see raft.ConfChangeError.
func (r *Replica) ProposeMembership(ctx context.Context, m pb.Membership) (version uint64, err error) {
	return r.proposeTarget(ctx, m, 0)
}

// ProposeMembershipInTerm is ProposeMembership on behalf of what this replica has found
// out as the leader of a term: it does not pass the proposal on, and unless it still
// leads in that term it is refused with raft.ErrNotLeader.
func (r *Replica) ProposeMembershipInTerm(ctx context.Context, m pb.Membership, term uint64) (version uint64, err error) {
	if term == 0 {
		return 0, notApplied(raft.ErrNotLeader)
	}
	return r.proposeTarget(ctx, m, term)
}

func (r *Replica) proposeTarget(ctx context.Context, m pb.Membership, term uint64) (uint64, error) {
	if _, err := confchange.ValidateTarget(m.Target()); err != nil {
		return 0, notApplied(&raft.ConfChangeError{Reason: err})
	}
	done, err := r.changePatiently(ctx, m.Change(), term)
	if err != nil {
		return 0, err
	}
	if t := done.conf.Target; t == nil || t.Version != done.index {
		return 0, notApplied(fmt.Errorf("%w: entry %d was committed and set none", ErrNoTarget, done.index))
	}
	return done.index, nil
}

// AwaitMembership waits for the outcome of the target of that version, and returns it.
// The error is a TargetError.
func (r *Replica) AwaitMembership(ctx context.Context, version uint64) (pb.MembershipOutcome, error) {
	for {
		changed := r.targets.wait()
		outcome, known, err := r.targets.outcome(version)
		if known {
			r.targets.waited()
			if err != nil {
				return outcome, &TargetError{version, err}
			}
			return outcome, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			err = ctx.Err()
		case <-r.stopping:
			err = r.stopError()
		}
		r.targets.waited()
		if err != nil {
			return pb.MembershipOutcome{}, &TargetError{version, err}
		}
	}
}

// CancelMembership gives up the target of that version, or with 0 whichever stands, and
// returns how it ended: as cancelled, unless it had ended otherwise by then. What the
// group has changed so far stays, but for the servers that were added to vote and do
// not yet (see raft.RawNode.CancelMembership). It may be called on any member, and
// waits out what ProposeMembership does.
//
// The error is one of ProposeMembership, that of ctx if no leader answers, or a
// TargetError, with ErrNoTarget if there is nothing to give up.
func (r *Replica) CancelMembership(ctx context.Context, version uint64) (pb.MembershipOutcome, error) {
	if version == 0 {
		if err := r.Read(ctx); err != nil { // what stands here may have ended long since
			return pb.MembershipOutcome{}, err
		}
		if version = r.targets.standing(); version == 0 {
			return pb.MembershipOutcome{}, &TargetError{Err: ErrNoTarget}
		}
	}
	if outcome, known, err := r.targets.outcome(version); known && err == nil {
		return outcome, nil
	}
	_, err := r.changePatiently(ctx, confchange.CancelChange(version), 0)
	if errors.Is(err, confchange.ErrStaleStep) {
		return r.endedMembership(ctx, version)
	} else if err != nil {
		return pb.MembershipOutcome{}, err
	}
	return r.AwaitMembership(ctx, version)
}

// endedMembership returns the outcome of a target that does not stand, as the leader has
// said. If this replica has not heard yet how it ended it catches up with the leader.
func (r *Replica) endedMembership(ctx context.Context, version uint64) (pb.MembershipOutcome, error) {
	outcome, known, err := r.targets.outcome(version)
	if !known {
		if err := r.Read(ctx); err != nil {
			return outcome, &TargetError{version, err}
		}
		if outcome, known, err = r.targets.outcome(version); !known {
			err = ErrNoTarget // the log is not even that long
		}
	}
	if err != nil {
		return outcome, &TargetError{version, err}
	}
	return outcome, nil
}

// CheckMembership says, without proposing anything, what would happen on the way to m
// and what stands against it (see raft.RawNode.CheckMembership). It can only say so on
// the leader: raft.ErrNotLeader on another. Other errors are that there is no way, that of
// ctx, or ErrStopped.
func (r *Replica) CheckMembership(ctx context.Context, m pb.Membership) (check raft.MembershipCheck, err error) {
	checked := make(chan struct{})
	var found raft.MembershipCheck
	var failed error
	r.call(func() {
		found, failed = r.node.CheckMembership(m)
		close(checked)
	})
	select {
	case <-checked:
		return found, failed
	case <-ctx.Done():
		return check, ctx.Err()
	case <-r.stopping:
		return check, r.stopError()
	}
}

// confDone is the result of a change of configuration.
type confDone struct {
	index uint64 // of its entry
	conf  pb.ConfState
}

// changePatiently proposes a change until it is taken or refused for a reason that does
// not pass by itself. A term, if it is not 0, is the only one to propose it in.
func (r *Replica) changePatiently(ctx context.Context, cc pb.ConfChangeV2, term uint64) (confDone, error) {
	began := time.Now()
	for {
		done, err := r.proposeConf(ctx, cc, term)
		if err == nil || !passes(err, time.Since(began) < r.timeouts(2)) {
			return done, err
		}
		select {
		case <-ctx.Done():
			return done, notApplied(fmt.Errorf("%w; last refusal: %w", ctx.Err(), err))
		case <-time.After(r.cfg.TickInterval):
		}
	}
}

// passes reports whether a refusal passes by itself. That a member has not said what it
// knows of does so only soon after an election, or after it was added.
func passes(err error, soon bool) bool {
	if !errors.Is(err, ErrNotApplied) {
		return false
	}
	for _, reason := range []error{
		raft.ErrConfChangePending, raft.ErrConfChangeTooEarly, raft.ErrTransferring, raft.ErrLeaving, raft.ErrNoLeader,
	} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return soon && errors.Is(err, confchange.ErrUnsupported)
}

// timeouts returns how long n election timeouts are.
func (r *Replica) timeouts(n int) time.Duration {
	return time.Duration(n*r.electionTick) * r.cfg.TickInterval
}
