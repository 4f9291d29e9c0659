package transport

import (
	"bytes"
	"context"
	"fmt"
	"io"
)

// SendSnapshot is Group.SendSnapshot. It ends with ErrUnreachable as soon as the
// nodes are cut off from each other.
func (g *MemoryGroup) SendSnapshot(ctx context.Context, to uint64, meta []byte, body io.Reader) error {
	if len(meta) > maxMeta {
		return fmt.Errorf("%w: meta of %d bytes, the limit is %d", ErrTooLarge, len(meta), maxMeta)
	}
	if err := g.enter(); err != nil {
		return err
	}
	defer g.users.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(g.ctx, func() { cancel(ErrClosed) })()
	theirs, err := g.receiver(to)
	if err != nil {
		return err
	}
	if theirs.enter() != nil {
		return ErrUnknownGroup
	}
	s := &memoryStream{chunks: make(chan []byte), ended: make(chan error, 1), superseded: make(chan struct{}), done: make(chan struct{})}
	older := theirs.supersede(g.node.id, s)
	g.node.net.wg.Go(func() {
		defer theirs.users.Done()
		defer theirs.forget(g.node.id, s)
		if older != nil {
			<-older.done
		}
		s.ended <- theirs.take(ctx, g.node.id, bytes.Clone(meta), s)
	})
	for {
		chunk := make([]byte, chunkSize)
		n, readErr := readUpTo(body, chunk)
		if readErr != nil && readErr != io.EOF {
			return fmt.Errorf("transport: reading the snapshot: %w", readErr)
		}
		if _, err := g.receiver(to); err != nil {
			return err
		}
		if n > 0 {
			select {
			case s.chunks <- chunk[:n]:
			case err := <-s.ended:
				return err
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if readErr != nil {
			break
		}
	}
	if ctx.Err() == nil {
		close(s.chunks)
	}
	select {
	case err := <-s.ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// memoryStream is a snapshot under way.
type memoryStream struct {
	chunks chan []byte // closed at the end of the snapshot
	ended  chan error  // capacity 1: the receiver's outcome

	superseded chan struct{} // closed when the sender has begun another
	done       chan struct{} // closed when the sink is not used any more
}

// supersede makes s the snapshot that is taken from a sender, and gives up the one
// before, which it returns.
func (g *MemoryGroup) supersede(from uint64, s *memoryStream) *memoryStream {
	g.node.net.mu.Lock()
	defer g.node.net.mu.Unlock()
	older := g.incoming[from]
	g.incoming[from] = s
	if older != nil {
		close(older.superseded)
	}
	return older
}

// forget is the end of s.
func (g *MemoryGroup) forget(from uint64, s *memoryStream) {
	g.node.net.mu.Lock()
	defer g.node.net.mu.Unlock()
	if g.incoming[from] == s {
		delete(g.incoming, from)
	}
	close(s.done)
}

// take feeds the sink of the receiver, until the snapshot or the sender's call
// ends.
func (g *MemoryGroup) take(sender context.Context, from uint64, meta []byte, s *memoryStream) error {
	sink, err := g.openSink(from, meta)
	if err != nil {
		return refusal(err).err()
	}
	for {
		select {
		case chunk, more := <-s.chunks:
			if !more {
				if err := sink.Commit(); err != nil {
					return refusal(err).err()
				}
				return nil
			}
			n, err := sink.Write(chunk)
			if err == nil && n < len(chunk) {
				err = io.ErrShortWrite
			}
			if err != nil {
				sink.Abort()
				return refusal(err).err()
			}
		case <-sender.Done():
			sink.Abort()
			return context.Cause(sender)
		case <-g.ctx.Done():
			sink.Abort()
			return ErrUnknownGroup
		case <-s.superseded:
			sink.Abort()
			return ErrSnapshotLost
		}
	}
}

// receiver returns the group at the other end.
func (g *MemoryGroup) receiver(to uint64) (*MemoryGroup, error) {
	n := g.node.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.reaches(g, to) {
		if !g.peers[to] {
			return nil, fmt.Errorf("%w: %d", ErrUnknownPeer, to)
		}
		return nil, ErrUnreachable
	}
	theirs := n.nodes[to].groups[g.id]
	if theirs == nil || !theirs.running.Load() {
		return nil, ErrUnknownGroup
	}
	return theirs, nil
}
