package differential

import (
	"bytes"
	"errors"
	"slices"

	ours "github.com/quorate-raft/raft"
	opb "github.com/quorate-raft/raft/raftpb"
)

// Theirs drops a proposal that it does not take, and nobody who forwarded it hears.

// checkRefusalTold holds ours to telling who forwarded a proposal, and wants to hear,
// that it was refused and why, and to handing on that word.
func (w *world) checkRefusalTold() error {
	c, m := &w.cur, w.cur.m
	in := &opb.Message{}
	if c.in != nil {
		in = &c.in.o
	}
	owed := in.Type == opb.MsgProp && in.From != ours.None && in.Features&opb.FeatureRefusals != 0 && c.oErr != nil
	for i := range m.out.messages {
		o := &m.out.messages[i]
		if o.Type != opb.MsgPropRefused {
			continue
		}
		if !owed || o.To != in.From || o.Term != 0 || !sameEntries(o.Entries, in.Entries) || string(o.Context) != c.oErr.Error() {
			return w.fail("ours sends %s, it returned %v", describe(o), c.oErr)
		}
		w.apply(refusalTold)
		owed = false
	}
	for i := range m.out.refusals {
		r := &m.out.refusals[i]
		back := owed && in.From == m.id && r.By == m.id && r.Err.Error() == c.oErr.Error()
		told := in.Type == opb.MsgPropRefused && r.By == in.From && r.Err.Error() == string(in.Context)
		if !back && !told || !errors.Is(r.Err, ours.ErrProposalDropped) || !sameEntries(r.Entries, in.Entries) {
			return w.fail("ours hands out the refusal %v of %d, it was given %s", r.Err, r.By, describe(in))
		}
		owed = false
	}
	if owed {
		return w.fail("ours does not tell %d that its proposal was refused: %v", in.From, c.oErr)
	}
	return nil
}

func sameEntries(a, b []opb.Entry) bool {
	return slices.EqualFunc(a, b, func(a, b opb.Entry) bool { return a.Type == b.Type && bytes.Equal(a.Data, b.Data) })
}
