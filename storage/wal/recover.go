package wal

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
)

// findSegments opens the segments in the directory, in order, and keeps a spare
// file. The caller, by closeFiles, closes them.
func (e *Engine) findSegments() ([]*segment, error) {
	names, err := e.o.files.List(e.dir)
	if err != nil {
		return nil, fmt.Errorf("wal: listing %s: %w", e.dir, err)
	}
	var seqs []uint64
	var spares []string
	foreign, newest := "", uint64(0)
	for _, name := range names {
		seq, ok := parseName(name, segmentSuffix)
		of, isSpare := parseName(name, spareSuffix)
		switch {
		case ok:
			seqs = append(seqs, seq)
		case isSpare:
			spares, newest = append(spares, filepath.Join(e.dir, name)), max(newest, of)
		case name != lockName:
			foreign = name
		}
	}
	if len(seqs) == 0 && foreign != "" {
		return nil, &FormatError{Dir: e.dir, Newest: formatVersion}
	}
	if len(seqs) == 0 && newest > 1 {
		// A spare was the file after another or was given up for one.
		return nil, corruptSegment(segmentName(newest), 0, "%w", errMissing)
	}
	slices.Sort(seqs)
	for i, seq := range seqs {
		if want := seqs[0] + uint64(i); seq != want {
			return nil, corruptSegment(segmentName(want), 0, "%w", errMissing)
		}
		name := filepath.Join(e.dir, segmentName(seq))
		segment, err := e.openSegment(name, seq)
		if err != nil {
			return nil, fmt.Errorf("wal: opening %s: %w", name, err)
		}
		e.segments = append(e.segments, segment)
		e.lastSeq = seq
	}
	// What a crash left of a file that was to become a segment has nothing in it.
	for _, spare := range spares {
		if err := e.o.files.Remove(spare); err != nil {
			return nil, fmt.Errorf("wal: removing %s: %w", spare, err)
		}
	}
	return e.segments, nil
}

// checkHeaders reads the headers: whose log it is, and by whom it can be read.
func (e *Engine) checkHeaders(segments []*segment) error {
	block := make([]byte, blockSize)
	for i, segment := range segments {
		n, err := segment.file.ReadAt(block, 0)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("wal: reading %s: %w", segment.name, err)
		}
		var h segmentHeader
		if err := h.parse(block[:n]); err != nil {
			return corruptSegment(segment.name, 0, "%w", err)
		}
		switch {
		case h.version != formatVersion:
			return &FormatError{Dir: e.dir, Version: uint64(h.version), Newest: formatVersion}
		case h.seq != segment.seq:
			return corruptSegment(segment.name, 0, "%w: it is that of %s", errHeader, segmentName(h.seq))
		case i > 0 && h.id != e.id:
			return corruptSegment(segment.name, 0, "%w", errForeign)
		}
		e.id, e.cluster, e.node = h.id, h.cluster, h.node
		segment.cluster, segment.node = h.cluster, h.node
	}
	if differs(e.o.ClusterID, e.cluster) || differs(e.o.NodeID, e.node) {
		return &IdentityError{
			Dir: e.dir, ClusterID: e.cluster, NodeID: e.node, WantClusterID: e.o.ClusterID, WantNodeID: e.o.NodeID,
		}
	}
	e.cluster, e.node = max(e.cluster, e.o.ClusterID), max(e.node, e.o.NodeID)
	return nil
}

func differs(want, have uint64) bool { return want != 0 && have != 0 && want != have }

// recover reads the log: what each group is, and where the log ends.
func (e *Engine) recover(found []*segment) error {
	r := newReplay()
	s := scanner{id: &e.id, segments: found}
	for {
		records, err := s.next()
		if err != nil {
			return err
		}
		if records == nil {
			break
		}
		if err := r.batch(records, s.last.position); err != nil {
			return corruptSegment(s.at().name, s.at().offset(s.last.position), "%w", err)
		}
	}
	if err := s.checkEnd(); err != nil {
		return err
	}
	e.synced, e.previous = s.position, s.last.sum
	if err := r.finish(found[0], e.synced); err != nil {
		return err
	}
	for id, st := range r.groups {
		e.groups[id] = newStorage(e, id, st.logState, st.checkpoint)
	}
	kept := s.current + 1
	if !s.began {
		// No batch was ever durable: a new log begins, in a file of its own.
		kept = 0
	}
	e.segments = found[:kept]
	// A process that was killed, or whose write failed, may have left its last batch where
	// it can be read but a loss of power takes it. It is about to be relied on.
	if err := s.rewrite(); err != nil {
		return err
	}
	if err := e.o.files.SyncDir(e.dir); err != nil {
		return fmt.Errorf("wal: syncing %s: %w", e.dir, err)
	}
	return e.dropUnused(found[kept:])
}

// dropUnused removes the segments that were made for later and in which there is
// nothing, or what a crash left of a first batch. From the end, so that no gap is
// left by a crash.
func (e *Engine) dropUnused(unused []*segment) error {
	for _, segment := range slices.Backward(unused) {
		if err := segment.file.Close(); err != nil {
			return fmt.Errorf("wal: closing %s: %w", segment.name, err)
		}
		if err := e.o.files.Remove(segment.name); err != nil {
			return fmt.Errorf("wal: removing %s: %w", segment.name, err)
		}
		if err := e.o.files.SyncDir(e.dir); err != nil {
			return fmt.Errorf("wal: syncing %s: %w", e.dir, err)
		}
		e.lastSeq = segment.seq - 1
	}
	return nil
}
