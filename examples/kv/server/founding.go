package server

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/transport"
)

// A first member whose directory is gone looks like one that starts for the first time:
// same ID, same cluster. But it has voted and acknowledged, and as an empty voter it
// would help to elect a leader without what it had acknowledged. So a first member asks
// the others, before it begins, what they know of it, and waits until a majority of the
// first members, itself counted, has nothing to say against it. A new cluster needs that
// many anyway to elect its first leader.
//
// The question and the answer are messages of a group of the transport that is no Raft
// group: the kind of the message is whatever may pass, and the context holds the text.

// foundingGroup is the transport's group for that.
const foundingGroup = 2

const (
	question = "may I begin?"
	// The answers.
	answerNew     = "you are new to me"
	answerLived   = "you have been running"
	answerRemoved = "you were removed"
)

// foundingInterval is how often those are asked that have not answered.
const foundingInterval = 100 * time.Millisecond

// founding is this server's part in that.
type founding struct {
	s       *Server
	group   *transport.Group
	answers chan answerOf // of others, to this server's question
}

type answerOf struct {
	from uint64
	text string
}

// startFounding begins to answer others.
func (s *Server) startFounding() error {
	group, err := s.network.Group(foundingGroup)
	if err != nil {
		return err
	}
	s.founding = &founding{s: s, group: group, answers: make(chan answerOf, len(s.identity.First))}
	return group.Start(s.founding.deliver, nil, nil)
}

func (f *founding) deliver(m *pb.Message) {
	if string(m.Context) == question {
		// Not here: this server's state may have to be waited for.
		f.s.running.Go(func() { f.send(m.From, f.answer(m.From)) })
		return
	}
	select {
	case f.answers <- answerOf{from: m.From, text: string(m.Context)}:
	default: // nobody waits
	}
}

func (f *founding) send(to uint64, text string) {
	f.group.Send([]pb.Message{{Type: pb.MsgHeartbeat, From: f.s.identity.ID, To: to, Context: []byte(text)}})
}

// answer says what this server knows of another: a member that has been running has told
// its address for clients.
func (f *founding) answer(id uint64) string {
	ready := f.s.ready.Load()
	if ready == nil {
		return answerNew
	}
	ctx, cancel := context.WithTimeout(f.s.background, f.s.cfg.RequestTimeout)
	defer cancel()
	st, err := f.s.replica.Status(ctx)
	switch {
	case err != nil || st.ConfigIndex == 0:
		return answerNew
	case !st.Config.Contains(id):
		return answerRemoved
	case decodeContext(string(st.Config.Context(id))).Client != "":
		return answerLived
	}
	return answerNew
}

// mayBegin waits until a majority of the first members has nothing against this one.
func (f *founding) mayBegin(ctx context.Context) error {
	first := f.s.identity.First
	agree := map[uint64]bool{f.s.identity.ID: true}
	for id, address := range first {
		if id != f.s.identity.ID {
			f.group.SetPeer(id, decodeContext(address).Peer)
		}
	}
	ask, report := time.NewTicker(foundingInterval), time.NewTicker(worthALine)
	defer ask.Stop()
	defer report.Stop()
	for len(agree) < len(first)/2+1 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("server: waiting for a majority of the first members: %w", ctx.Err())
		case <-ask.C:
			for id := range first {
				if !agree[id] {
					f.send(id, question)
				}
			}
		case <-report.C:
			f.s.log.Info("waiting for a majority of the first members", zap.Int("members", len(first)), zap.Int("heard", len(agree)))
		case a := <-f.answers:
			switch {
			case a.text == answerLived || a.text == answerRemoved:
				return fmt.Errorf("%w: server %d says of server %d: %s; the directory %s is empty, so what it voted and acknowledged is lost: "+
					"remove it from the cluster, and let a new one join", ErrDamaged, a.from, f.s.identity.ID, a.text, f.s.cfg.Dir)
			case a.text == answerNew:
				if _, is := first[a.from]; is {
					agree[a.from] = true
				}
			}
		}
	}
	return nil
}
