package transport

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"
)

// maxFinished bounds the ended streams whose outcome is remembered for a sender
// that lost the connection before it heard.
const maxFinished = 1024

// incoming has the snapshots on their way in.
type incoming struct {
	mu       sync.Mutex
	closed   bool
	streams  map[streamKey]*stream
	running  int // streams without a result
	finished []*stream
	wg       sync.WaitGroup
}

func newIncoming() *incoming { return &incoming{streams: make(map[streamKey]*stream)} }

func (in *incoming) active() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.running
}

// serve reads a connection of the snapshot lane until it ends.
func (in *incoming) serve(t *Transport, c *conn, from uint64) error {
	// A node that opens a connection has a snapshot ready.
	hurry := time.AfterFunc(t.cfg.HandshakeTimeout, c.close)
	defer hurry.Stop()
	s, err := in.open(t, c, from)
	if s == nil {
		return err
	}
	hurry.Stop()
	acknowledged := make(chan struct{})
	go func() {
		defer close(acknowledged)
		if s.acknowledge(c) != nil {
			c.close()
		}
	}()
	err = s.read(c)
	c.close()
	s.detach(c, t.cfg.SnapshotResume, func() { in.expire(s) })
	<-acknowledged
	return err
}

// open reads the first frame and finds or makes its stream. Nil means that there
// is none: the sender was told, or broke the protocol.
func (in *incoming) open(t *Transport, c *conn, from uint64) (*stream, error) {
	f, err := c.next()
	if err != nil {
		return nil, err
	}
	if f.kind != kindOpen {
		return nil, violation("frame of kind %d before a snapshot", f.kind)
	}
	id, resume, meta, err := decodeOpen(f.payload)
	if err != nil {
		return nil, err
	}
	key := streamKey{from, f.group, id}
	if !resume { // one that comes back may itself have been superseded
		in.supersede(key)
	}
	s, refused := in.find(t, key, resume, meta)
	if s == nil {
		err := c.write(appendFrame(nil, kindResult, f.group, result{outcome: refused}.encode()))
		if err == nil {
			_, err = c.next() // the sender closes when it has read
		}
		return nil, err
	}
	s.attach(c)
	return s, nil
}

// supersede ends other streams of the same sender for the same group, which has
// begun anew, and waits until they gave up their places.
func (in *incoming) supersede(key streamKey) {
	in.mu.Lock()
	var ending []*stream
	for old, s := range in.streams {
		if old.from == key.from && old.group == key.group && old.id != key.id {
			s.abort(result{outcome: outcomeLost})
			ending = append(ending, s)
		}
	}
	in.mu.Unlock()
	for _, s := range ending {
		<-s.done
	}
}

// find returns the stream of that key, or makes it, or says why not.
func (in *incoming) find(t *Transport, key streamKey, resume bool, meta []byte) (*stream, outcome) {
	t.mu.RLock()
	g := t.groups[key.group]
	t.mu.RUnlock()
	in.mu.Lock()
	defer in.mu.Unlock()
	if s := in.streams[key]; s != nil {
		return s, 0
	}
	switch {
	case resume || in.closed:
		return nil, outcomeLost
	case g == nil || !g.running.Load():
		return nil, outcomeNoGroup
	}
	if in.running >= t.cfg.MaxSnapshotsIn {
		return nil, outcomeBusy
	}
	s := newStream(key, g, meta, t.cfg.SnapshotWindow)
	in.streams[key] = s
	in.running++
	in.wg.Go(func() {
		defer close(s.done)
		s.run()
		if s.result.outcome == outcomeCommitted {
			t.stats.snapshotsReceived.Add(1)
		}
		in.finish(s)
	})
	return s, 0
}

// finish keeps the outcome of a stream for a while, and forgets the oldest.
func (in *incoming) finish(s *stream) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.running--
	s.finished = true
	if s.expired {
		in.forget(s)
		return
	}
	in.finished = append(in.finished, s)
	if len(in.finished) > maxFinished {
		in.forget(in.finished[0])
		in.finished = slices.Delete(in.finished, 0, 1)
	}
}

// expire gives up a stream whose sender did not come back. One that still runs,
// because its sink takes its time, stays where closeGroup finds it.
func (in *incoming) expire(s *stream) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if s.expired = s.expire(); s.expired && s.finished {
		in.forget(s)
	}
}

// forget removes a stream that has ended. The caller holds in.mu.
func (in *incoming) forget(s *stream) {
	if in.streams[s.key] == s {
		delete(in.streams, s.key)
	}
}

// closeGroup ends the streams of a group and waits for their sinks.
func (in *incoming) closeGroup(g *Group) {
	in.mu.Lock()
	var ending []*stream
	for _, s := range in.streams {
		if s.group == g {
			s.abort(result{outcome: outcomeNoGroup})
			ending = append(ending, s)
		}
	}
	in.mu.Unlock()
	for _, s := range ending {
		<-s.done
	}
}

func (in *incoming) close() {
	in.mu.Lock()
	in.closed = true
	for _, s := range in.streams {
		s.abort(result{outcome: outcomeLost})
	}
	in.mu.Unlock()
	in.wg.Wait()
}

// read feeds the stream from c until the connection ends.
func (s *stream) read(c *conn) error {
	for {
		f, err := c.next()
		if err != nil {
			return err
		}
		if f.group != s.key.group {
			return violation("frame of group %d in a snapshot of group %d", f.group, s.key.group)
		}
		switch {
		case f.kind == kindChunk && len(f.payload) > 8:
			err = s.push(c, binary.BigEndian.Uint64(f.payload), f.payload[8:])
		case f.kind == kindEnd && len(f.payload) == endSize:
			err = s.end(c, binary.BigEndian.Uint64(f.payload), f.payload[8:])
		case f.kind == kindCancel:
			s.abort(result{outcome: outcomeLost})
		default:
			err = violation("frame of kind %d with %d bytes in a snapshot", f.kind, len(f.payload))
		}
		if err != nil {
			return err
		}
	}
}

// next reads the next frame that is not a ping.
func (c *conn) next() (frame, error) {
	for {
		f, err := c.frames.next()
		if err != nil || f.kind != kindPing {
			return f, err
		}
	}
}
