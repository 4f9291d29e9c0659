package differential

import (
	tpb "go.etcd.io/raft/v3/raftpb"

	opb "github.com/quorate-raft/raft/raftpb"
)

// routeAll puts on the network what the member says: what ours sends, or what
// theirs does. pair and taken tell which messages are the same; nil if the step
// ended with a restart of both.
func (w *world) routeAll(pair []int, taken []bool) {
	m := w.cur.m
	if m.speaksTheirs {
		back := make([]int, len(m.tout.messages))
		for j := range back {
			back[j] = -1
		}
		for i, j := range pair {
			if j >= 0 {
				back[j] = i
			}
		}
		for j := range m.tout.messages {
			t := m.tout.messages[j]
			o := messageToOurs(&t)
			if i := back[j]; i >= 0 {
				ownWords(&o, &m.out.messages[i])
				if t.Type == tpb.MsgHeartbeat {
					t.Context = lastContext(m.tout.messages, &t)
				}
			} else if t.Type == tpb.MsgHeartbeat {
				continue // merged with another
			} else if t.Type == tpb.MsgReadIndex || t.Type == tpb.MsgReadIndexResp {
				continue
			}
			w.send(o, t)
		}
		return
	}
	for i := range m.out.messages {
		o := m.out.messages[i]
		t := messageToTheirs(&o)
		if pair != nil && pair[i] >= 0 {
			twin := &m.tout.messages[pair[i]]
			switch t.Type {
			case tpb.MsgHeartbeat, tpb.MsgHeartbeatResp:
				t.Context = lastContext(m.tout.messages, twin)
			case tpb.MsgReadIndex, tpb.MsgReadIndexResp:
				t.Entries = twin.Entries
			}
		} else if t.Type == tpb.MsgReadIndex || t.Type == tpb.MsgHeartbeatResp {
			continue
		} else if t.Type == tpb.MsgReadIndexResp {
			t.Entries = []tpb.Entry{{Data: []byte(w.tokens[string(o.Entries[0].Data)])}}
		}
		w.send(o, t)
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

func (w *world) send(o opb.Message, t tpb.Message) {
	it := item{o: o, t: t, beat: w.step}
	switch o.Type {
	case opb.MsgReadIndex:
		w.tokens[string(o.Entries[0].Data)] = string(t.Entries[0].Data)
	case opb.MsgHeartbeatResp:
		it.beat = w.cur.in.beat
	}
	if len(w.net) >= maxNet {
		w.net = w.net[:copy(w.net, w.net[1:])]
	}
	w.net = append(w.net, it)
}
