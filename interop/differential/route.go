package differential

import (
	tpb "go.etcd.io/raft/v3/raftpb"

	"github.com/quorate-raft/raft/interop/etcdraft"
	opb "github.com/quorate-raft/raft/raftpb"
)

// routeAll puts on the network what the member says: what ours sends, or what
// theirs does. pair tells which messages are the same; nil if the step ended with
// a restart of both.
func (w *world) routeAll(pair []int) {
	m := w.cur.m
	for i := range m.leaving {
		h := &m.leaving[i]
		w.route(h.o, h.t, h.beat)
	}
	os, ts := m.out.messages, m.tout.messages
	back := make([]*opb.Message, len(ts))
	for i := range os {
		var t *tpb.Message
		if pair != nil && pair[i] >= 0 {
			t = &ts[pair[i]]
			back[pair[i]] = &os[i]
		}
		if !m.speaksTheirs {
			w.route(&os[i], t, w.beatOf(os[i].Type))
		}
	}
	if m.speaksTheirs {
		for j := range ts {
			w.route(back[j], &ts[j], w.beatOf(opb.MessageType(ts[j].Type)))
		}
	}
}

// beatOf returns when the heartbeat left that a message is, or
// answers.
func (w *world) beatOf(t opb.MessageType) beat {
	if t == opb.MsgHeartbeatResp {
		return w.cur.in.beat
	}
	return beat{w.step, w.cur.m.ticks}
}

// route puts on the network what the member says of a message of ours and the
// same of theirs; one of them may be missing.
func (w *world) route(o *opb.Message, t *tpb.Message, at beat) {
	m := w.cur.m
	switch {
	case m.speaksTheirs && t != nil:
		t, as := *t, etcdraft.ToMessage(t)
		if o != nil {
			ownWords(&as, o)
			if t.Type == tpb.MsgHeartbeat {
				t.Context = lastContext(m.tout.messages, &t)
			}
		} else if t.Type == tpb.MsgHeartbeat {
			return // merged with another
		} else if t.Type == tpb.MsgReadIndex || t.Type == tpb.MsgReadIndexResp {
			return
		}
		w.send(as, t, at)
	case !m.speaksTheirs && o != nil:
		as := etcdraft.FromMessage(o)
		if t != nil {
			switch as.Type {
			case tpb.MsgHeartbeat, tpb.MsgHeartbeatResp:
				as.Context = lastContext(m.tout.messages, t)
			case tpb.MsgReadIndex, tpb.MsgReadIndexResp:
				as.Entries = t.Entries
			}
		} else if as.Type == tpb.MsgReadIndex || as.Type == tpb.MsgHeartbeatResp {
			return
		} else if as.Type == tpb.MsgReadIndexResp {
			as.Entries = []tpb.Entry{{Data: []byte(w.tokens[string(o.Entries[0].Data)])}}
		}
		w.send(*o, as, at)
	}
}

// ownWords gives o, made from a message of theirs, what each implementation
// says in its own words.
func ownWords(o, twin *opb.Message) {
	switch o.Type {
	case opb.MsgHeartbeat, opb.MsgHeartbeatResp:
		o.Context = twin.Context
	case opb.MsgReadIndex, opb.MsgReadIndexResp:
		o.Entries = twin.Entries
	}
}

// lastContext returns the context of the last heartbeat to the same peer.
func lastContext(ts []tpb.Message, t *tpb.Message) []byte {
	ctx := t.Context
	for i := range ts {
		if ts[i].Type == t.Type && ts[i].To == t.To {
			ctx = ts[i].Context
		}
	}
	return ctx
}

func (w *world) send(o opb.Message, t tpb.Message, at beat) {
	it := item{o: o, t: t, beat: at}
	if o.Type == opb.MsgReadIndex {
		w.tokens[string(o.Entries[0].Data)] = string(t.Entries[0].Data)
	}
	if len(w.net) >= maxNet {
		w.net = w.net[:copy(w.net, w.net[1:])]
	}
	w.net = append(w.net, it)
}
