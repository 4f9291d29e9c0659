package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// snapshots takes, sends and receives snapshots. A snapshot is never whole in
// memory: the node sees metadata alone, and the state goes as a stream from a View,
// or a file, to a file.
type snapshots struct {
	r       *Replica
	dir     string
	durable Durable // the state machine, if it is one

	mu        sync.Mutex
	closed    bool
	view      *heldView // the latest one for sending, of a durable state machine
	capturing bool
	sends     map[uint64]context.CancelFunc // by peer
	receiving int
	taking    bool
	next      []chan<- error // wait for the snapshot after the one being taken
	running   sync.WaitGroup

	// Of the applier alone.
	lastIndex   uint64 // of the last compaction
	lastBytes   uint64
	lastCommand uint64 // the state machine holds, by its own count
}

// heldView is a view that may be sent to several peers.
type heldView struct {
	meta  pb.SnapshotMetadata
	view  View
	users int
	used  bool // since the last look
	stale bool // to be closed when nobody uses it
}

const maxReceiving = 4

func newSnapshots(r *Replica) (*snapshots, error) {
	dir, err := claimDir(r.cfg.SnapshotDir)
	if err != nil {
		return nil, err
	}
	s := &snapshots{r: r, dir: dir, sends: map[uint64]context.CancelFunc{}}
	s.durable, _ = r.cfg.StateMachine.(Durable)
	return s, nil
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
		s.r.apply.put(applyWork{call: s.capture})
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

// metadata returns the metadata of a snapshot at an applied index.
func (s *snapshots) metadata(index uint64) (pb.SnapshotMetadata, error) {
	var meta pb.SnapshotMetadata
	var err error
	if !s.r.onLoop(func() {
		var cs *pb.ConfState
		if cs, err = s.r.node.ConfStateAt(index); err == nil {
			meta = pb.SnapshotMetadata{Index: index, ConfState: *cs}
			meta.Term, err = s.r.cfg.Storage.Term(index)
		}
	}) {
		return pb.SnapshotMetadata{}, s.r.stopError() // the others may still be written
	}
	return meta, err
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
	body, release, err := s.open(&m.Snapshot.Metadata)
	ctx, cancel := context.WithCancel(context.Background())
	s.mu.Lock()
	switch {
	case err != nil:
	case s.closed:
		err = ErrStopped
	case s.sends[m.To] != nil:
		err = errors.New("the one before is still under way")
	case len(s.sends) >= s.r.cfg.MaxSnapshotSends:
		err = errors.New("too many are under way")
	default:
		s.sends[m.To] = cancel
		s.running.Add(1)
	}
	s.mu.Unlock()
	if err != nil {
		cancel()
		if release != nil {
			release()
		}
		s.report(m.To, fmt.Errorf("snapshot at %d: %w", m.Snapshot.Metadata.Index, err))
		return
	}
	meta, err := m.Marshal()
	go func() {
		defer s.running.Done()
		defer cancel()
		defer release()
		if err == nil {
			err = s.r.transport.SendSnapshot(ctx, m.To, meta, body)
		}
		s.mu.Lock()
		delete(s.sends, m.To)
		s.mu.Unlock()
		s.report(m.To, err)
	}()
}

func (s *snapshots) report(to uint64, err error) {
	status := raft.SnapshotFinish
	if err != nil {
		status = raft.SnapshotFailure
		s.r.log.Warn("sending a snapshot failed", zap.Uint64("to", to), zap.Error(err))
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
		pw.CloseWithError(write(pw))
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

// receive begins to take a snapshot that a peer sends.
func (s *snapshots) receive(from uint64, meta []byte) (interface {
	io.Writer
	Commit() error
	Abort()
}, error) {
	var m pb.Message
	if err := m.Unmarshal(meta); err != nil {
		return nil, fmt.Errorf("replica: snapshot of %d: %w", from, err)
	}
	if m.Type != pb.MsgSnap || m.From != from || m.To != s.r.cfg.ID || m.Snapshot == nil || len(m.Snapshot.Data) > 0 {
		return nil, fmt.Errorf("replica: %v of %d to %d is no snapshot of %d", m.Type, m.From, m.To, from)
	}
	if index := m.Snapshot.Metadata.Index; index <= s.r.applied.Load() {
		return nil, fmt.Errorf("replica: snapshot of %d at %d, applied is %d already", from, index, s.r.applied.Load())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, ErrStopped
	case s.receiving >= maxReceiving:
		return nil, fmt.Errorf("replica: snapshot of %d: %d are being received", from, s.receiving)
	}
	w, err := createSnapshotFile(s.dir, &m.Snapshot.Metadata)
	if err != nil {
		return nil, err
	}
	s.receiving++
	return &incoming{snapshotWriter: w, s: s, m: m}, nil
}

// incoming is a snapshot that is being received.
type incoming struct {
	*snapshotWriter
	s *snapshots
	m pb.Message
}

// Commit makes the file durable, and only then tells the node.
func (in *incoming) Commit() error {
	defer in.ended()
	if err := in.commit(); err != nil {
		return err
	}
	in.s.r.in.message(&in.m)
	return nil
}

func (in *incoming) Abort() {
	defer in.ended()
	in.abort()
}

func (in *incoming) ended() {
	in.s.mu.Lock()
	defer in.s.mu.Unlock()
	in.s.receiving--
}

// restore lets the state machine take the state of a received snapshot. It runs on
// the applier, or before it.
func (s *snapshots) restore(meta pb.SnapshotMetadata) error {
	s.r.log.Info("restoring a snapshot", zap.Uint64("index", meta.Index))
	if err := restoreFrom(s.r.cfg.StateMachine, filepath.Join(s.dir, snapshotName(meta.Index, meta.Term)), meta.Index); err != nil {
		return err
	}
	s.lastIndex, s.lastBytes, s.lastCommand = meta.Index, s.r.appliedBytes.Load(), meta.Index
	s.removeOld()
	s.r.publish(Event{Kind: SnapshotRestored, Index: meta.Index})
	return nil
}

// maybeTake compacts the log once enough was applied. It runs on the applier; what
// takes long runs apart.
func (s *snapshots) maybeTake(index uint64) {
	if index-s.lastIndex < s.r.cfg.SnapshotEntries && s.r.appliedBytes.Load()-s.lastBytes < s.r.cfg.SnapshotBytes {
		return
	}
	s.take(nil)
}

// take takes a snapshot of what is applied now, or right after the one that is
// being taken if somebody waits for it, and tells those who wait how it went. It
// runs on the applier.
func (s *snapshots) take(waiting []chan<- error) {
	if !s.begin(waiting) {
		return
	}
	index := s.r.applied.Load()
	s.lastIndex, s.lastBytes = index, s.r.appliedBytes.Load()
	drop := index - min(index, s.r.cfg.TrailingEntries)
	if s.durable != nil {
		// It does not count what is no command. Without the entries after its last
		// one it would be taken at a restart for one that lacks a snapshot.
		drop = min(drop, s.lastCommand)
	}
	meta, err := s.metadata(index)
	var view View
	if err == nil && s.durable == nil {
		view, err = s.r.cfg.StateMachine.View()
	}
	go func() {
		defer s.running.Done()
		if err == nil {
			err = s.finishTaking(&meta, drop, view)
		}
		s.taken(index, waiting, err)
	}()
}

// begin reports whether a snapshot can be taken now. If one is being taken, those
// who wait get the one after it.
func (s *snapshots) begin(waiting []chan<- error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taking {
		s.next = append(s.next, waiting...)
	}
	if s.taking || s.closed {
		return false
	}
	s.taking = true
	s.running.Add(1)
	return true
}

// taken ends the taking of a snapshot.
func (s *snapshots) taken(index uint64, waiting []chan<- error, err error) {
	switch {
	case errors.Is(err, raft.ErrCompacted), errors.Is(err, raft.ErrSnapOutOfDate):
		err = nil // a newer one was received, or nothing has happened since the last
	case s.r.stopped():
		err = s.r.stopError()
	case err != nil:
		err = fmt.Errorf("replica: snapshot at %d: %w", index, err)
		s.r.log.Error("no snapshot was taken, the log grows on", zap.Error(err))
	default:
		s.r.publish(Event{Kind: SnapshotTaken, Index: index})
	}
	for _, c := range waiting {
		c <- err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taking = false
	if next := s.next; len(next) > 0 {
		s.next = nil
		s.r.apply.put(applyWork{call: func() { s.take(next) }})
	}
}

// finishTaking makes the state at meta durable, records that, and drops the entries
// up to drop.
func (s *snapshots) finishTaking(meta *pb.SnapshotMetadata, drop uint64, view View) error {
	if s.durable != nil {
		if err := s.durable.Sync(); err != nil {
			s.r.stop(fmt.Errorf("replica: making the state machine durable: %w", err))
			return err
		}
	} else if err := s.writeFile(meta, view); err != nil {
		return err
	}
	err := s.record(meta, drop)
	if err != nil && !isAnswer(err) {
		s.r.stop(fmt.Errorf("replica: writing a snapshot to the log: %w", err))
	}
	return err
}

// record tells the storage of a snapshot and drops entries and files that it makes
// useless.
func (s *snapshots) record(meta *pb.SnapshotMetadata, drop uint64) error {
	st := s.r.cfg.Storage
	s.r.storageMu.Lock()
	defer s.r.storageMu.Unlock()
	if err := st.CreateSnapshot(meta.Index, meta.ConfState, nil); err != nil {
		return err
	}
	first, err := st.FirstIndex()
	if err == nil && drop >= first {
		err = st.Compact(drop)
	}
	if err != nil {
		return err
	}
	if s.durable == nil {
		// A crash may lose what was not synced, and then the file of the snapshot
		// before is needed. To write the hard state again changes nothing but that.
		hs, _, err := st.InitialState()
		if err == nil {
			err = st.Save(raft.Ready{HardState: hs, MustSync: true})
		}
		if err != nil {
			return err
		}
	}
	s.removeOld()
	return nil
}

// isAnswer reports whether an error of CreateSnapshot or Compact is no fault.
func isAnswer(err error) bool {
	return errors.Is(err, raft.ErrCompacted) || errors.Is(err, raft.ErrSnapOutOfDate) || errors.Is(err, raft.ErrUnavailable)
}

func (s *snapshots) writeFile(meta *pb.SnapshotMetadata, view View) error {
	defer view.Close()
	w, err := createSnapshotFile(s.dir, meta)
	if err != nil {
		return err
	}
	w.stop = s.r.stopping
	if _, err := view.WriteTo(w); err != nil {
		w.abort()
		return err
	}
	return w.commit()
}

// removeOld removes the files of snapshots that nothing begins from any more.
func (s *snapshots) removeOld() {
	snap, err := s.r.cfg.Storage.Snapshot()
	if err != nil {
		return
	}
	keep := snap.Metadata.Index
	if s.durable != nil {
		keep = s.r.applied.Load() + 1
	}
	names, _ := os.ReadDir(s.dir)
	for _, e := range names {
		if index, _, ok := parseSnapshotName(e.Name()); ok && index < keep {
			os.Remove(filepath.Join(s.dir, e.Name())) // else the next time
		}
	}
}

// prepare makes the directory ready and brings the state machine to where the log
// can go on. It returns the index that the state machine holds.
func (s *snapshots) prepare() (uint64, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return 0, fmt.Errorf("replica: snapshot directory: %w", err)
	}
	names, err := os.ReadDir(s.dir)
	if err != nil {
		return 0, fmt.Errorf("replica: snapshot directory: %w", err)
	}
	for _, e := range names {
		if strings.HasSuffix(e.Name(), ".tmp") {
			os.Remove(filepath.Join(s.dir, e.Name())) // what a crash left
		}
	}
	snap, err := s.r.cfg.Storage.Snapshot()
	if err != nil {
		return 0, fmt.Errorf("replica: snapshot in the log's storage: %w", err)
	}
	first, err := s.r.cfg.Storage.FirstIndex()
	if err != nil {
		return 0, fmt.Errorf("replica: first index of the log: %w", err)
	}
	index := uint64(0)
	if s.durable != nil {
		if index, err = s.durable.Applied(); err != nil {
			return 0, fmt.Errorf("replica: what the state machine holds: %w", err)
		}
	}
	if needed := snap.Metadata.Index > 0 && (s.durable == nil || index < first-1); needed {
		if err := s.restore(snap.Metadata); err != nil {
			return 0, err
		}
		index = snap.Metadata.Index
	}
	s.lastIndex, s.lastCommand = index, index
	return index, nil
}

// close ends all that is under way.
func (s *snapshots) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancelSends()
	s.running.Wait()
	s.mu.Lock()
	s.dropView()
	s.mu.Unlock()
	s.running.Wait()
}
