package raft

import (
	"errors"
	"strings"
	"unicode"

	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
)

// A proposal that was forwarded is refused far from who made it. The refusal goes
// back as a MsgPropRefused, to be handed out in Ready.Refusals.

// Refusal is the word of a member that it did not take a proposal of this node, which
// was forwarded to it. A network that delivers messages more than once may deliver
// another copy of the proposal that is taken, before or after.
type Refusal struct {
	// By is the member: the leader, or one that had none to pass the proposal on to.
	// It is this node if the proposal came back to it.
	By uint64
	// Entries are those of the proposal. They have neither index nor term.
	Entries []pb.Entry
	// Err is what a proposal at that member would have returned: it matches
	// ErrProposalDropped and the same reason, and may be a ConfChangeError. Its text
	// is the member's.
	Err error
}

// Bounds on the refusals that come with one Ready, or leave with it: those beyond are
// dropped. They hold the data of proposals that the node did not want to hold.
const (
	maxRefusals      = 1024
	maxRefusalBytes  = 16 << 20
	maxRefusalReason = 1 << 10 // bytes of text
)

// refusedSize is how much a Ready holds of proposals that were refused.
type refusedSize struct{ count, bytes uint64 }

// admit counts in a refusal of ents, if there is room; the first one always has.
func (s *refusedSize) admit(ents []pb.Entry) bool {
	bytes := s.bytes
	for i := range ents {
		bytes += uint64(len(ents[i].Data))
	}
	if s.count > 0 && (s.count >= maxRefusals || bytes > maxRefusalBytes) {
		return false
	}
	s.count, s.bytes = s.count+1, bytes
	return true
}

// tellRefused tells who made the forwarded proposal m that it was refused with err, if
// it was and they want to hear. It returns err.
func (r *raft) tellRefused(m *pb.Message, err error) error {
	if err == nil || m.From == None || m.Features&pb.FeatureRefusals == 0 || errors.Is(err, ErrStorage) {
		return err
	}
	number, index := refusalNumber(err)
	reason := err.Error()
	reason = reason[:min(len(reason), maxRefusalReason)]
	if m.From == r.id {
		r.noteRefusal(r.id, m.Entries, refusalError(uint64(number), index, reason))
	} else if r.collecting().refused.admit(m.Entries) {
		told := r.message(pb.MsgPropRefused, m.From)
		told.Term, told.Index, told.RejectHint = 0, index, uint64(number)
		told.Entries, told.Context = m.Entries, []byte(reason)
	}
	return err
}

// noteRefused takes the word of a peer, which may be wrong: it changes nothing else.
func (r *raft) noteRefused(m *pb.Message) {
	reason := m.Context[:min(len(m.Context), maxRefusalReason)]
	r.noteRefusal(m.From, m.Entries, refusalError(m.RejectHint, m.Index, string(reason)))
}

func (r *raft) noteRefusal(by uint64, ents []pb.Entry, err error) {
	if b := r.collecting(); b.refused.admit(ents) {
		b.refusals = append(b.refusals, Refusal{By: by, Entries: ents, Err: err})
	}
}

// refusals are the numbers of the reasons, in the order in which an error is compared
// with them. Those of a change of membership come in a ConfChangeError.
var refusals = [...]struct {
	number pb.ProposalRefusal
	reason error
	change bool
}{
	{pb.RefusalNoLeader, ErrNoLeader, false},
	{pb.RefusalTransferring, ErrTransferring, false},
	{pb.RefusalLeaving, ErrLeaving, false},
	{pb.RefusalUncommittedFull, ErrUncommittedFull, false},
	{pb.RefusalForwardingDisabled, ErrForwardingDisabled, false},
	{pb.RefusalEmpty, ErrEmptyProposal, false},
	{pb.RefusalIndexExhausted, ErrIndexExhausted, false},
	{pb.RefusalCorrupt, ErrCorruptMessage, false},
	{pb.RefusalConfPending, ErrConfChangePending, true},
	{pb.RefusalConfTooEarly, ErrConfChangeTooEarly, true},
	{pb.RefusalConfMultiple, ErrConfChangeMultiple, true},
	{pb.RefusalAlreadyJoint, confchange.ErrAlreadyJoint, true},
	{pb.RefusalNotJoint, confchange.ErrNotJoint, true},
	{pb.RefusalNoVoters, confchange.ErrNoVoters, true},
	{pb.RefusalNotSimple, confchange.ErrNotSimple, true},
	{pb.RefusalInvalidNode, confchange.ErrInvalidNode, true},
	{pb.RefusalUnknownNode, confchange.ErrUnknownNode, true},
	{pb.RefusalDuplicateNode, confchange.ErrDuplicateNode, true},
	{pb.RefusalUnknownChange, confchange.ErrUnknownChange, true},
	{pb.RefusalNoChange, confchange.ErrNoChange, true},
	{pb.RefusalTargetStands, confchange.ErrTargetStands, true},
	{pb.RefusalStaleStep, confchange.ErrStaleStep, true},
	{pb.RefusalLeadersOwn, confchange.ErrLeadersOwn, true},
	{pb.RefusalInvalidTarget, confchange.ErrInvalidTarget, true},
	{pb.RefusalUnexpectedVersion, confchange.ErrUnexpectedVersion, true},
	{pb.RefusalUnsupported, confchange.ErrUnsupported, true},
	{pb.RefusalWouldLoseQuorum, confchange.ErrWouldLoseQuorum, true},
	{pb.RefusalInvalidChange, pb.ErrInvalidConfChange, true}, // some of the others wrap it
}

// refusalNumber returns the number of the reason for which a proposal was refused with
// err, and the index of what is in the way.
func refusalNumber(err error) (number pb.ProposalRefusal, index uint64) {
	var change *ConfChangeError
	if errors.As(err, &change) {
		index = change.Index
	}
	for i := range refusals {
		if errors.Is(err, refusals[i].reason) {
			return refusals[i].number, index
		}
	}
	return pb.RefusalUnknown, index
}

// refusalError is the inverse of refusalNumber, with what the member said in words.
func refusalError(number, index uint64, text string) error {
	err := &refusedElsewhere{reason: ErrProposalDropped, text: strings.Map(printable, text)}
	for i := range refusals {
		if uint64(refusals[i].number) != number {
			continue
		}
		if err.reason = refusals[i].reason; refusals[i].change {
			err.reason = &ConfChangeError{Index: index, Reason: refusals[i].reason}
		}
	}
	return err
}

// printable keeps what a peer says from looking like something else in a log.
func printable(c rune) rune {
	if unicode.IsPrint(c) {
		return c
	}
	return unicode.ReplacementChar
}

// refusedElsewhere is the error of a proposal that another member refused.
type refusedElsewhere struct {
	reason error
	text   string
}

func (e *refusedElsewhere) Error() string {
	if e.text == "" {
		return e.reason.Error()
	}
	return e.text
}

func (e *refusedElsewhere) Unwrap() error { return e.reason }

// Is makes every refusal match ErrProposalDropped.
func (e *refusedElsewhere) Is(target error) bool { return target == ErrProposalDropped }
