package search

import "time"

// report calls Options.Progress each second until the returned function is called.
func (s *search) report() (stop func()) {
	if s.opts.Progress == nil {
		return func() {}
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				s.progress(now)
			case <-end:
				return
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// progress calls Options.Progress.
func (s *search) progress(now time.Time) {
	s.reporting.Lock()
	defer s.reporting.Unlock()
	p := Progress{
		States:      s.known.Load() + s.added.Load(),
		Transitions: s.sent.Load() + s.emits.Load(),
		Depth:       int(s.depth.Load()),
		Frontier:    s.size.Load(),
		Expanded:    s.expanded.Load(),
		Memory:      s.set.pool.used.Load() + s.opts.tune.buffers(s.opts.Workers),
		Elapsed:     now.Sub(s.began),
	}
	if s.store != nil {
		p.Disk = s.store.dir.bytes.Load()
	}
	if now.Sub(s.reported) >= time.Second/2 {
		// States may go back when a layer that went through Dir is finished.
		if p.States >= s.reportedStates {
			s.rate = float64(p.States-s.reportedStates) / now.Sub(s.reported).Seconds()
		}
		s.reported, s.reportedStates = now, p.States
	}
	p.Rate = s.rate
	s.opts.Progress(p)
}
