package wal

import "sync/atomic"

// Stats counts what an Engine had the disk do since it was opened.
type Stats struct {
	// Batches are writes to the log, and Bytes what was written by them, whole blocks. Each batch is
	// durable when it is written, and has in it all that had come in by then.
	Batches, Bytes uint64
	// Syncs are the times that the disk was waited for: for batches, and for files that were
	// filled, named and removed in the background.
	Syncs uint64
}

// Stats returns what was counted so far.
func (e *Engine) Stats() Stats {
	return Stats{Batches: e.counts.batches.Load(), Bytes: e.counts.bytes.Load(), Syncs: e.counts.syncs.Load()}
}

type counts struct{ batches, bytes, syncs atomic.Uint64 }

// countedFiles counts the times that the disk is waited for.
type countedFiles struct {
	fileSystem
	syncs *atomic.Uint64
}

func (c countedFiles) Open(name string) (file, error) { return c.counted(c.fileSystem.Open(name)) }

func (c countedFiles) Create(name string) (file, error) { return c.counted(c.fileSystem.Create(name)) }

func (c countedFiles) SyncDir(dir string) error {
	c.syncs.Add(1)
	return c.fileSystem.SyncDir(dir)
}

func (c countedFiles) counted(f file, err error) (file, error) {
	if err != nil {
		return nil, err
	}
	return countedFile{f, c.syncs}, nil
}

type countedFile struct {
	file
	syncs *atomic.Uint64
}

func (f countedFile) WriteSync(p []byte, off int64) error {
	f.syncs.Add(1)
	return f.file.WriteSync(p, off)
}
