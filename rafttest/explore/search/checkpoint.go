package search

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// resume loads the checkpoint of Options.Dir, if there is one.
func (s *search) resume() error {
	dir := s.store.dir
	m, err := dir.load()
	if err != nil {
		return err
	}
	if m == nil {
		// What lies here was written before a first checkpoint.
		return dir.sweep(&manifest{})
	}
	if id := s.model.Identity(); m.Identity != id {
		return fmt.Errorf("%w: %s is of model %q, not %q", ErrOtherSearch, dir.path, m.Identity, id)
	}
	if m.SleepSets != s.opts.SleepSets {
		return fmt.Errorf("%w: %s has SleepSets %t, not %t", ErrOtherSearch, dir.path, m.SleepSets, s.opts.SleepSets)
	}
	files := append(slices.Clone(m.Runs), m.Frontier)
	if m.Model != nil {
		files = append(files, *m.Model)
	}
	for _, f := range files {
		if err := dir.verify(f); err != nil {
			return err
		}
	}
	if err := dir.sweep(m); err != nil {
		return err
	}
	return s.restore(m)
}

// restore takes over the state of m.
func (s *search) restore(m *manifest) error {
	s.layers, s.transitions, s.terminal, s.done = m.Layers, m.Transitions, m.Terminal, m.Done
	for _, n := range m.Layers {
		s.states += n
	}
	s.store.runs, s.file = m.Runs, m.Frontier
	if m.Model != nil {
		if err := s.loadModel(*m.Model); err != nil {
			return fmt.Errorf("load model: %w", err)
		}
	}
	if err := s.loadRuns(); err != nil {
		return err
	}
	if err := s.openFrontier(); err != nil {
		return err
	}
	var n uint64
	if !m.Done && len(m.Layers) > 0 {
		n = m.Layers[len(m.Layers)-1]
	}
	s.startCounters(n)
	return nil
}

func (s *search) loadModel(info fileInfo) error {
	saver, ok := s.model.(Saver)
	if !ok {
		return fmt.Errorf("%w: %T has nothing to load", ErrOtherSearch, s.model)
	}
	f, err := os.Open(filepath.Join(s.store.dir.path, info.Name))
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	return saver.Load(bufio.NewReader(f))
}

// loadRuns brings the states of finished layers into memory, if they fit.
func (s *search) loadRuns() error {
	for _, info := range s.store.runs {
		r, err := openRun(s.store.dir.path, info, s.store.dir.buffer)
		if err != nil {
			return err
		}
		for !r.done && err == nil {
			sh := &s.set.shards[s.set.shardOf(r.fp.Hi)]
			if at, found := sh.find(r.fp); !found {
				_, parent := recordOf(r.rec[:])
				sh.addRecord(at, r.fp, parent)
			}
			if sh.n > len(sh.slots)/4*3 || s.set.pool.used.Load() > sh.limit {
				s.resident = false
				break
			}
			err = r.next()
		}
		r.close()
		if err != nil {
			return err
		}
		if !s.resident {
			break
		}
	}
	for i := range s.set.shards {
		sh := &s.set.shards[i]
		if !s.resident {
			sh.clear()
		}
		sh.start = sh.n
	}
	return nil
}

// checkpoint makes what is known durable.
func (s *search) checkpoint() error {
	if s.store == nil {
		return nil
	}
	m := &manifest{
		Identity: s.model.Identity(), SleepSets: s.opts.SleepSets,
		Layers: s.layers, Transitions: s.transitions, Terminal: s.terminal, Done: s.done,
		Frontier: s.file, Runs: s.store.runs,
	}
	if saver, ok := s.model.(Saver); ok {
		w, err := s.store.dir.create("model")
		if err != nil {
			return err
		}
		if err := saver.Save(w); err != nil {
			w.abandon()
			return fmt.Errorf("save model: %w", err)
		}
		info, err := w.finish()
		if err != nil {
			return err
		}
		m.Model = &info
	}
	return s.store.dir.save(m)
}
