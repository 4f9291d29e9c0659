package wal

import (
	"fmt"
	"path/filepath"
)

// Verify reads all of the group from the disk, and the files that it shares with
// others, and returns the first damage that it finds, a CorruptionError. It may take
// long; reads and writes go on meanwhile.
func (s *Storage) Verify() error {
	if err := s.log.VerifyEntries(s.readEntries); err != nil {
		return err
	}
	if _, err := s.Snapshot(); err != nil {
		return err
	}
	if err := s.e.shared.Acquire(); err != nil {
		return err
	}
	defer s.e.shared.Release()
	return s.e.shared.Blame(s.e.verify())
}

// verify reads the log as Open would, up to where it is known to be durable.
func (e *Engine) verify() error {
	for {
		e.mu.Lock()
		s := scanner{id: &e.id, limit: e.synced}
		for _, segment := range e.segments {
			mine := *segment
			s.segments = append(s.segments, &mine)
		}
		e.mu.Unlock()
		oldest := s.segments[0].seq
		err := s.verify()
		e.mu.Lock()
		freed := e.segments[0].seq != oldest
		e.mu.Unlock()
		if err == nil || !freed || e.Err() != nil {
			return err
		}
	}
}

func (s *scanner) verify() error {
	first := s.at().start
	for s.position < s.limit {
		records, err := s.next()
		if err != nil {
			return err
		}
		if records == nil {
			at := max(s.position, first)
			return corruptSegment(s.at().name, s.at().offset(at), "%w", errSynced)
		}
		for len(records) > 0 {
			rec, err := parseRecord(records)
			if err != nil {
				return &CorruptionError{
					File: filepath.Base(s.at().name), Offset: s.at().offset(s.last.position),
					Err: fmt.Errorf("a record of the batch there: %w", err),
				}
			}
			records = records[rec.size:]
		}
	}
	return nil
}
