package rafttest_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/confchange"
	"github.com/quorate-raft/raft/quorum"
	pb "github.com/quorate-raft/raft/raftpb"
)

// Entries are written term/index and data, messages with only what is set.

func describeEntry(e pb.Entry) string {
	id := fmt.Sprintf("%d/%d ", e.Term, e.Index)
	if e.Type == pb.EntryNormal {
		return id + describeData(e.Data)
	}
	cc, err := pb.UnmarshalConfChange(e)
	if err != nil {
		return id + "conf (undecodable)"
	}
	v2 := cc.AsV2()
	if v2.LeaveJoint() {
		return id + "conf leave"
	}
	if m := v2.Membership; m != nil {
		switch {
		case m.Target != nil:
			return fmt.Sprintf("%starget %v", id, quorum.MajorityConfig(m.Target.Voters))
		case m.Outcome != nil:
			return fmt.Sprintf("%soutcome of %d: %v", id, m.Outcome.Version, m.Outcome.Result)
		default:
			id += fmt.Sprintf("step to %d: ", m.Version)
		}
	}
	s := id + "conf " + pb.ConfChangesToString(v2.Changes)
	switch v2.Transition {
	case pb.ConfChangeTransitionJointImplicit:
		s += " implicit"
	case pb.ConfChangeTransitionJointExplicit:
		s += " explicit"
	}
	return s
}

func describeData(data []byte) string {
	if len(data) > 24 {
		return fmt.Sprintf("%d bytes", len(data))
	}
	return strconv.Quote(string(data))
}

func describeEntries(ents []pb.Entry) string {
	all := make([]string, len(ents))
	for i, e := range ents {
		all[i] = describeEntry(e)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// describeProposal writes entries that have no place yet.
func describeProposal(ents []pb.Entry) string {
	all := make([]string, len(ents))
	for i, e := range ents {
		_, all[i], _ = strings.Cut(describeEntry(e), " ")
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func describeConf(cs pb.ConfState) string {
	cfg, err := confchange.Restore(cs)
	if err != nil {
		return err.Error()
	}
	s := cfg.String()
	if cs.Index != 0 {
		s += fmt.Sprintf(" index=%d", cs.Index)
	}
	return s
}

func describeSnapshot(s pb.Snapshot) string {
	return fmt.Sprintf("%d/%d config=[%s]", s.Metadata.Term, s.Metadata.Index, describeConf(s.Metadata.ConfState))
}

// describeRound writes a round of heartbeats as the leader's tick and the count within it.
func describeRound(round uint64) string {
	return fmt.Sprintf("%d.%d", round>>28, round&(1<<28-1))
}

func describeMessage(m pb.Message) string {
	var b strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&b, " "+format, args...) }
	fmt.Fprintf(&b, "%d->%d %v", m.From, m.To, m.Type)
	if m.Term != 0 {
		add("term=%d", m.Term)
	}
	if m.Reject {
		add("reject")
	}
	switch m.Type {
	case pb.MsgApp, pb.MsgVote, pb.MsgPreVote:
		add("log=%d/%d", m.LogTerm, m.Index)
	default:
		if m.Index != 0 {
			add("index=%d", m.Index)
		}
	}
	if m.Type == pb.MsgAppResp && m.Reject && (m.RejectHint != 0 || m.LogTerm != 0) {
		add("hint=%d/%d", m.LogTerm, m.RejectHint)
	}
	if m.Type == pb.MsgPropRefused {
		add("refusal=%v", pb.ProposalRefusal(m.RejectHint))
	}
	if m.Commit != 0 {
		add("commit=%d", m.Commit)
	}
	switch {
	case len(m.Entries) == 0:
	case m.Type == pb.MsgReadIndex || m.Type == pb.MsgReadIndexResp:
		add("read=%s", describeToken(m.Entries[0].Data))
	case m.Type == pb.MsgProp || m.Type == pb.MsgPropRefused:
		add("entries=%s", describeProposal(m.Entries))
	default:
		add("entries=%s", describeEntries(m.Entries))
	}
	if m.Snapshot != nil {
		add("snapshot=%s", describeSnapshot(*m.Snapshot))
	}
	if m.NoAnswer {
		add("no-answer")
	}
	if m.Round != 0 {
		add("round=%s", describeRound(m.Round))
	}
	// The round is repeated in the context for peers that know no rounds.
	if len(m.Context) > 0 && (m.Round == 0 || len(m.Context) != 16) {
		add("context=%q", m.Context)
	}
	if m.LeaseTicks != 0 {
		add("lease=%d", m.LeaseTicks)
	}
	if m.Sleep {
		add("sleep")
	}
	return b.String()
}

// describeToken writes the token of forwarded reads by its number.
func describeToken(data []byte) string {
	if len(data) == 16 {
		return fmt.Sprintf("#%d", binary.BigEndian.Uint64(data[8:]))
	}
	return strconv.Quote(string(data))
}

// parseMessage reads a message as describeMessage writes it.
func parseMessage(line string) (pb.Message, error) {
	var m pb.Message
	words := splitWords(line)
	if len(words) < 2 {
		return m, fmt.Errorf("message %q", line)
	}
	if _, err := fmt.Sscanf(words[0], "%d->%d", &m.From, &m.To); err != nil {
		return m, fmt.Errorf("addresses %q: %w", words[0], err)
	}
	t, known := pb.MessageType_value[words[1]]
	if n, err := strconv.Atoi(words[1]); !known && err == nil {
		t, known = int32(n), true
	}
	if !known {
		return m, fmt.Errorf("message type %q", words[1])
	}
	m.Type = pb.MessageType(t)
	for _, word := range words[2:] {
		if err := parseField(&m, word); err != nil {
			return m, fmt.Errorf("%q: %w", word, err)
		}
	}
	return m, nil
}

func parseField(m *pb.Message, word string) (err error) {
	key, value, _ := strings.Cut(word, "=")
	switch key {
	case "term":
		m.Term, err = number(value)
	case "index":
		m.Index, err = number(value)
	case "commit":
		m.Commit, err = number(value)
	case "log":
		m.LogTerm, m.Index, err = termIndex(value)
	case "hint":
		m.LogTerm, m.RejectHint, err = termIndex(value)
	case "refusal":
		number, known := pb.ProposalRefusal_value[value]
		if !known {
			return errors.New("unknown refusal")
		}
		m.RejectHint = uint64(number)
	case "lease":
		m.LeaseTicks, err = number(value)
	case "round":
		var tick, n uint64
		_, err = fmt.Sscanf(value, "%d.%d", &tick, &n)
		m.Round = tick<<28 | n
	case "reject":
		m.Reject = true
	case "no-answer":
		m.NoAnswer = true
	case "sleep":
		m.Sleep = true
	case "context":
		var s string
		s, err = strconv.Unquote(value)
		m.Context = []byte(s)
	case "entries":
		m.Entries, err = parseEntries(strings.Trim(value, "[]"))
	case "snapshot":
		m.Snapshot = &pb.Snapshot{}
		meta := &m.Snapshot.Metadata
		meta.Term, meta.Index, err = termIndex(value)
	case "config":
		if m.Snapshot == nil {
			return errors.New("comes before snapshot")
		}
		m.Snapshot.Metadata.ConfState, err = parseConf(strings.Trim(value, "[]"))
	default:
		err = errors.New("unknown field")
	}
	return err
}

func parseEntries(s string) ([]pb.Entry, error) {
	var ents []pb.Entry
	for _, one := range strings.Split(s, ", ") {
		id, rest, _ := strings.Cut(one, " ")
		var e pb.Entry
		var err error
		if e.Term, e.Index, err = termIndex(id); err != nil {
			return nil, err
		}
		if change, ok := strings.CutPrefix(rest, "conf "); ok {
			changes, err := pb.ConfChangesFromString(change)
			if err != nil {
				return nil, err
			}
			if e.Type, e.Data, err = pb.MarshalConfChange(pb.ConfChangeV2{Changes: changes}); err != nil {
				return nil, err
			}
		} else {
			data, err := strconv.Unquote(rest)
			if err != nil {
				return nil, err
			}
			e.Data = []byte(data)
		}
		ents = append(ents, e)
	}
	return ents, nil
}

// parseConf reads "voters=(1 2 3) index=4".
func parseConf(s string) (pb.ConfState, error) {
	var cs pb.ConfState
	for _, word := range splitWords(s) {
		key, value, _ := strings.Cut(word, "=")
		var ids []uint64
		for _, id := range strings.Fields(strings.Trim(value, "()")) {
			n, err := number(id)
			if err != nil {
				return cs, err
			}
			ids = append(ids, n)
		}
		switch key {
		case "voters":
			cs.Voters = ids
		case "learners":
			cs.Learners = ids
		case "index":
			cs.Index = ids[0]
		default:
			return cs, fmt.Errorf("unknown %q", key)
		}
	}
	return cs, nil
}

func number(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) }

func termIndex(s string) (term, index uint64, err error) {
	_, err = fmt.Sscanf(s, "%d/%d", &term, &index)
	return term, index, err
}

// splitWords splits at spaces outside of brackets, parentheses and quotes.
func splitWords(line string) []string {
	depth, quoted := 0, false
	return strings.FieldsFunc(line, func(c rune) bool {
		switch c {
		case '"':
			quoted = !quoted
		case '[', '(':
			depth++
		case ']', ')':
			depth--
		}
		return c == ' ' && depth == 0 && !quoted
	})
}

// errorNames are the errors that a caller can tell apart, the specific before the general.
var errorNames = []struct {
	name string
	err  error
}{
	{"ErrConfChangePending", raft.ErrConfChangePending},
	{"ErrConfChangeTooEarly", raft.ErrConfChangeTooEarly},
	{"ErrConfChangeMultiple", raft.ErrConfChangeMultiple},
	{"ErrAlreadyJoint", confchange.ErrAlreadyJoint},
	{"ErrNotJoint", confchange.ErrNotJoint},
	{"ErrNoVoters", confchange.ErrNoVoters},
	{"ErrNotSimple", confchange.ErrNotSimple},
	{"ErrInvalidNode", confchange.ErrInvalidNode},
	{"ErrUnknownNode", confchange.ErrUnknownNode},
	{"ErrDuplicateNode", confchange.ErrDuplicateNode},
	{"ErrUnknownChange", confchange.ErrUnknownChange},
	{"ErrInvalidConfChange", pb.ErrInvalidConfChange},
	{"ErrNoChange", confchange.ErrNoChange},
	{"ErrNoLeader", raft.ErrNoLeader},
	{"ErrTransferring", raft.ErrTransferring},
	{"ErrLeaving", raft.ErrLeaving},
	{"ErrUncommittedFull", raft.ErrUncommittedFull},
	{"ErrForwardingDisabled", raft.ErrForwardingDisabled},
	{"ErrEmptyProposal", raft.ErrEmptyProposal},
	{"ErrIndexExhausted", raft.ErrIndexExhausted},
	{"ErrProposalDropped", raft.ErrProposalDropped},
	{"ErrTooManyReads", raft.ErrTooManyReads},
	{"ErrNoLease", raft.ErrNoLease},
	{"ErrNotLeader", raft.ErrNotLeader},
	{"ErrTransferTarget", raft.ErrTransferTarget},
	{"ErrUnknownPeer", raft.ErrUnknownPeer},
	{"ErrLeaseInForce", raft.ErrLeaseInForce},
	{"ErrCannotCampaign", raft.ErrCannotCampaign},
	{"ErrForeignAck", raft.ErrForeignAck},
	{"ErrStepLocalMsg", raft.ErrStepLocalMsg},
	{"ErrStepPeerNotFound", raft.ErrStepPeerNotFound},
	{"ErrUnknownMessage", raft.ErrUnknownMessage},
	{"ErrMisrouted", raft.ErrMisrouted},
	{"ErrCorruptMessage", raft.ErrCorruptMessage},
	{"ErrStorage", raft.ErrStorage},
	{"ErrInvalidConfig", raft.ErrInvalidConfig},
}

func describeError(err error) string {
	text := strings.TrimPrefix(err.Error(), "raft: ")
	for _, known := range errorNames {
		if errors.Is(err, known.err) {
			return fmt.Sprintf("%s: %s", known.name, text)
		}
	}
	return "error: " + text
}
