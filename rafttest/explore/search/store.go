package search

import (
	"io"
	"slices"
)

// store is the part of a search that is on disk: the runs of finished layers, and
// the candidates of the layer that is being built, which did not fit into memory.
type store struct {
	dir   *directory
	fanIn int
	runs  []fileInfo
	cands []fileInfo
	keys  []sortKey
}

// layerWriter writes a finished layer: its records as a run, and its entries as
// the next frontier.
type layerWriter struct {
	run, frontier *fileWriter
	n             uint64
}

func (s *store) newLayer() (*layerWriter, error) {
	run, err := s.dir.create("run")
	if err != nil {
		return nil, err
	}
	f, err := s.dir.create("frontier")
	if err != nil {
		run.abandon()
		return nil, err
	}
	return &layerWriter{run: run, frontier: f}, nil
}

func (w *layerWriter) add(rec, body []byte) error {
	w.n++
	if _, err := w.run.Write(rec); err != nil {
		return err
	}
	if _, err := w.frontier.Write(rec); err != nil {
		return err
	}
	_, err := w.frontier.Write(body)
	return err
}

// finish adds the layer to the store and returns its frontier.
func (w *layerWriter) finish(s *store) (fileInfo, error) {
	run, err := w.run.finish()
	if err != nil {
		w.frontier.abandon()
		return fileInfo{}, err
	}
	f, err := w.frontier.finish()
	if err != nil {
		return fileInfo{}, err
	}
	if w.n == 0 {
		return f, nil
	}
	return f, s.addRun(run)
}

func (w *layerWriter) abandon() {
	w.run.abandon()
	w.frontier.abandon()
}

// each calls do for the entries in memory of the layer that is being built, by
// fingerprint: shards are ranges of fingerprints in order.
func (s *store) each(set *set, do func(rec, body []byte) error) error {
	for i := range set.shards {
		sh := &set.shards[i]
		s.keys = sh.sorted(s.keys)
		for _, k := range s.keys {
			body := sh.body(k.i)
			if err := do(sh.record(k.i), body[:bodySize(body)]); err != nil {
				return err
			}
		}
	}
	return nil
}

// spill writes the entries in memory as candidates. Whether they are new is found
// out at the end of the layer.
func (s *store) spill(set *set) error {
	info, err := s.write(func(to func(rec, body []byte) error) error { return s.each(set, to) })
	if err != nil {
		return err
	}
	s.cands = append(s.cands, info)
	if len(s.cands) < s.fanIn {
		return nil
	}
	return s.mergeCandidates()
}

// write makes a file of candidates of those that each hands on, in its order.
func (s *store) write(each func(to func(rec, body []byte) error) error) (fileInfo, error) {
	w, err := s.dir.create(candidates)
	if err != nil {
		return fileInfo{}, err
	}
	err = each(func(rec, body []byte) error {
		if _, err := w.Write(rec); err != nil {
			return err
		}
		_, err := w.Write(body)
		return err
	})
	if err != nil {
		w.abandon()
		return fileInfo{}, err
	}
	return w.finish()
}

// mergeCandidates makes one file of all, so that few are read at once.
func (s *store) mergeCandidates() error {
	info, err := s.write(s.eachCandidate)
	if err != nil {
		return err
	}
	if err := s.dropCandidates(); err != nil {
		return err
	}
	s.cands = []fileInfo{info}
	return nil
}

// dropCandidates removes the files. No manifest names candidates.
func (s *store) dropCandidates() error {
	for _, c := range s.cands {
		if err := s.dir.remove(c); err != nil {
			return err
		}
	}
	s.cands = nil
	return nil
}

// saveResident writes a layer that is in memory as a whole, beside all others.
func (s *store) saveResident(set *set) (f fileInfo, n uint64, err error) {
	w, err := s.newLayer()
	if err != nil {
		return fileInfo{}, 0, err
	}
	if err := s.each(set, w.add); err != nil {
		w.abandon()
		return fileInfo{}, 0, err
	}
	f, err = w.finish(s)
	return f, w.n, err
}

// settle finds out which candidates are new: those that no run holds.
func (s *store) settle() (f fileInfo, n uint64, err error) {
	runs, err := s.openRuns()
	if err != nil {
		return fileInfo{}, 0, err
	}
	defer runs.close()
	w, err := s.newLayer()
	if err != nil {
		return fileInfo{}, 0, err
	}
	err = s.eachCandidate(func(rec, body []byte) error {
		fp, _ := recordOf(rec)
		old, err := runs.holds(fp)
		if old || err != nil {
			return err
		}
		return w.add(rec, body)
	})
	if err != nil {
		w.abandon()
		return fileInfo{}, 0, err
	}
	if err := s.dropCandidates(); err != nil {
		w.abandon()
		return fileInfo{}, 0, err
	}
	f, err = w.finish(s)
	return f, w.n, err
}

// eachCandidate calls do for the candidates by fingerprint, each once: those of
// the same state are combined as in memory.
func (s *store) eachCandidate(do func(rec, body []byte) error) (err error) {
	type source struct {
		r     *entryReader
		entry []byte
		fp    Fingerprint
	}
	var sources []*source
	defer func() {
		for _, c := range sources {
			c.r.close()
		}
	}()
	advance := func(c *source) error {
		if c.entry, err = c.r.next(c.entry[:0]); err != nil {
			return err
		}
		c.fp, _ = recordOf(c.entry)
		return nil
	}
	for _, info := range s.cands {
		r, err := openEntries(s.dir.path, info, s.dir.buffer)
		if err != nil {
			return err
		}
		c := &source{r: r}
		sources = append(sources, c)
		if err := advance(c); err != nil && !isEnd(err) {
			return err
		}
	}
	// A source without an entry is at its end.
	live := slices.DeleteFunc(slices.Clone(sources), func(c *source) bool { return len(c.entry) == 0 })
	var kept []byte
	for len(live) > 0 {
		least := live[0].fp
		for _, c := range live[1:] {
			if c.fp.less(least) {
				least = c.fp
			}
		}
		kept = kept[:0]
		for i := 0; i < len(live); i++ {
			c := live[i]
			if c.fp != least {
				continue
			}
			kept = combine(kept, c.entry)
			if err := advance(c); isEnd(err) {
				live = slices.Delete(live, i, i+1)
				i--
			} else if err != nil {
				return err
			}
		}
		body := kept[recordSize:]
		if err := do(kept[:recordSize], body[:bodySize(body)]); err != nil {
			return err
		}
	}
	return nil
}

// isEnd reports whether err is the regular end of a file: a torn entry is wrapped.
func isEnd(err error) bool { return err == io.EOF } //nolint:errorlint // see above

// combine joins two entries of one state of one layer, as shard.insert does.
func combine(kept, other []byte) []byte {
	if len(kept) == 0 {
		return append(kept, other...)
	}
	if parent := order.Uint64(other[16:]); parent < order.Uint64(kept[16:]) {
		order.PutUint64(kept[16:], parent)
	}
	intersectSleep(kept[recordSize:], other[recordSize:])
	return kept
}
