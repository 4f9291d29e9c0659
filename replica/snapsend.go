package replica

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// heldView is a view that may be sent to several peers.
type heldView struct {
	meta  pb.SnapshotMetadata
	view  View
	users int
	used  bool // since the last look
	stale bool // to be closed when nobody uses it
}

// nodeStorage is the storage as the node sees it: snapshots are those that can be
// sent.
type nodeStorage struct {
	Storage
	s *snapshots
}

// ConfEntryIndexes passes the optional part of a storage on.
func (ns nodeStorageIndexed) ConfEntryIndexes(lo, hi uint64) ([]uint64, error) {
	return ns.ix.ConfEntryIndexes(lo, hi)
}

type nodeStorageIndexed struct {
	nodeStorage
	ix raft.ConfEntryIndexer
}

func (s *snapshots) storage() raft.Storage {
	ns := nodeStorage{s.r.cfg.Storage, s}
	if ix, ok := s.r.cfg.Storage.(raft.ConfEntryIndexer); ok {
		return nodeStorageIndexed{ns, ix}
	}
	return ns
}

// Snapshot implements raft.Storage.
func (ns nodeStorage) Snapshot() (pb.Snapshot, error) { return ns.s.sendable() }

// sendable returns the metadata of a snapshot that can be sent now. The loop calls
// it through the node.
func (s *snapshots) sendable() (pb.Snapshot, error) {
	snap, err := s.r.cfg.Storage.Snapshot()
	snap.Data = nil
	if err != nil || s.durable == nil {
		return snap, err
	}
	// A durable state machine keeps no file of an old state: the log begins after
	// what it holds now.
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.view; v != nil && v.meta.Index >= snap.Metadata.Index {
		v.used = true
		return pb.Snapshot{Metadata: v.meta}, nil
	}
	if !s.capturing && !s.closed {
		s.capturing = true
		s.r.in.toApply(applyWork{call: s.capture})
	}
	return pb.Snapshot{}, raft.ErrSnapshotTemporarilyUnavailable
}

// capture takes a view for sending. It runs on the applier.
func (s *snapshots) capture() {
	index := s.r.applied.Load()
	meta, err := s.metadata(index)
	var view View
	if err == nil {
		view, err = s.r.cfg.StateMachine.View()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capturing = false
	if err != nil {
		s.r.log.Warn("no view of the state machine for a snapshot", zap.Uint64("index", index), zap.Error(err))
		return
	}
	if s.closed {
		view.Close()
		return
	}
	s.dropView()
	s.view = &heldView{meta: meta, view: view, used: true}
}

// dropView gives the current view up; whoever sends it goes on. The lock is held.
func (s *snapshots) dropView() {
	if v := s.view; v != nil {
		s.view = nil
		v.stale = true
		s.closeUnused(v)
	}
}

// closeUnused closes a stale view that nobody uses, apart, since the loop neither
// waits for that nor for the lock, which is held.
func (s *snapshots) closeUnused(v *heldView) {
	if !v.stale || v.users > 0 {
		return
	}
	s.running.Go(func() {
		if err := v.view.Close(); err != nil {
			s.r.log.Warn("closing a view of the state machine", zap.Error(err))
		}
	})
}

// expireViews gives up a view that nobody asked for lately.
func (s *snapshots) expireViews() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.view; v != nil && v.users == 0 && !v.used {
		s.dropView()
	} else if v != nil {
		v.used = false
	}
}

// send sends the snapshot of a MsgSnap and reports to the node how it ended.
func (s *snapshots) send(m pb.Message) {
	ctx, cancel := context.WithCancel(context.Background())
	if err := s.beginSend(m.To, cancel); err != nil {
		cancel()
		s.report(m.To, err)
		return
	}
	go func() {
		defer s.running.Done()
		defer cancel()
		err := s.transmit(ctx, &m)
		s.mu.Lock()
		delete(s.sends, m.To)
		s.mu.Unlock()
		s.report(m.To, err)
	}()
}

// beginSend counts a snapshot to a peer in, if there is room for it.
func (s *snapshots) beginSend(to uint64, cancel context.CancelFunc) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrStopped
	case s.sends[to] != nil:
		return errors.New("the one before is still under way")
	case len(s.sends) >= s.r.cfg.MaxSnapshotSends:
		return errors.New("too many are under way")
	}
	s.sends[to] = cancel
	s.running.Add(1)
	return nil
}

func (s *snapshots) transmit(ctx context.Context, m *pb.Message) error {
	meta, err := m.Marshal()
	if err != nil {
		return err
	}
	body, release, err := s.open(&m.Snapshot.Metadata)
	if err != nil {
		return err
	}
	defer release()
	return s.r.transport.SendSnapshot(ctx, m.To, meta, body)
}

func (s *snapshots) report(to uint64, err error) {
	status := raft.SnapshotFinish
	if err != nil {
		status = raft.SnapshotFailure
		s.r.log.Warn("sending a snapshot failed", zap.Uint64("to", to), zap.Error(err))
	}
	if errors.Is(err, ErrSnapshotCorrupt) || errors.Is(err, fs.ErrNotExist) {
		// The state machine still has what the file does not, and nobody can
		// join without it.
		s.r.in.toApply(applyWork{call: func() { s.take(nil) }})
	}
	s.r.call(func() { _ = s.r.node.ReportSnapshot(to, status) })
}

// open returns the body of a snapshot, and what to call when it is not needed any
// more.
func (s *snapshots) open(meta *pb.SnapshotMetadata) (body io.Reader, release func(), err error) {
	if s.durable == nil {
		f, err := os.Open(filepath.Join(s.dir, snapshotName(meta.Index, meta.Term)))
		if err != nil {
			return nil, nil, err
		}
		return piped(func(w io.Writer) error {
			return readSnapshot(f, func(b *bodyReader) error { _, err := io.Copy(w, b); return err })
		}, func() { f.Close() })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.view
	if v == nil || v.meta.Index != meta.Index {
		return nil, nil, errors.New("its view is gone")
	}
	v.users++
	return piped(func(w io.Writer) error { _, err := v.view.WriteTo(w); return err }, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		v.users--
		s.closeUnused(v)
	})
}

// piped returns a reader of what write writes, and a function that ends both and
// then calls done.
func piped(write func(io.Writer) error, done func()) (io.Reader, func(), error) {
	pr, pw := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := write(pw)
		if err == io.EOF { // which the reader would take for the end of the whole
			err = io.ErrUnexpectedEOF
		}
		pw.CloseWithError(err)
	}()
	return pr, func() {
		pr.CloseWithError(io.ErrClosedPipe)
		<-ended
		done()
	}, nil
}

// cancelSends ends what is being sent: this node leads no more, and what it sends
// would be refused.
func (s *snapshots) cancelSends() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cancel := range s.sends {
		cancel()
	}
}
