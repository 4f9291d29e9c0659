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
	in := &incoming{s: s, m: m}
	if err := in.begin(); err != nil {
		return nil, err
	}
	var err error
	if in.snapshotWriter, err = createSnapshotFile(s.dir, &m.Snapshot.Metadata); err != nil {
		in.ended()
		return nil, err
	}
	return in, nil
}

// incoming is a snapshot that is being received.
type incoming struct {
	*snapshotWriter
	s *snapshots
	m pb.Message
}

// begin counts it in, if there is room for it.
func (in *incoming) begin() error {
	in.s.mu.Lock()
	defer in.s.mu.Unlock()
	switch {
	case in.s.closed:
		return ErrStopped
	case in.s.receiving >= maxReceiving:
		return fmt.Errorf("replica: snapshot of %d: %d are being received", in.m.From, in.s.receiving)
	}
	in.s.receiving++
	return nil
}

// Commit makes the file durable, and only then tells the node.
func (in *incoming) Commit() error {
	defer in.ended()
	if err := in.commit(); err != nil {
		return err
	}
	in.s.r.in.put(func(w *work) { w.messages = append(w.messages, in.m) }) // never dropped, after all that
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
	s.removeOld(meta.Index)
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
		s.r.in.toApply(applyWork{call: func() { s.take(next) }})
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
	switch {
	case err == nil:
		s.removeOld(meta.Index)
	case !isAnswer(err):
		s.r.stop(fmt.Errorf("replica: writing a snapshot to the log: %w", err))
	}
	return err
}

// record tells the storage of a snapshot, durably where older files are removed for
// it, and drops entries.
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
	if err != nil || s.durable != nil {
		return err
	}
	// A crash may lose what was not synced, and then the file of the snapshot before
	// is needed. To write the hard state again changes nothing but that.
	hs, _, err := st.InitialState()
	if err != nil {
		return err
	}
	return st.Save(raft.Ready{HardState: hs, MustSync: true})
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

// removeOld removes the files of snapshots that nothing begins from any more, as the
// one at index is in the log durably, or, if the state machine is durable, it is.
func (s *snapshots) removeOld(index uint64) {
	if s.durable != nil {
		index++
	}
	names, _ := os.ReadDir(s.dir)
	for _, e := range names {
		if i, _, ok := parseSnapshotName(e.Name()); ok && i < index {
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
