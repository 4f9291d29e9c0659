package sim

// A directed fault builds a situation that chance seldom finds. It acts in several
// parts, each when what it waits for has happened: a message was answered, a
// write is under way, another leads. Each part is something that can happen in
// the field at that moment; only the coincidence is arranged.

// steering is a directed fault under way.
type steering struct {
	until int64
	parts []func() bool
}

// steer tries parts one after the other, after every step, until each reports
// that it is done; after some time it gives up.
func (s *simulation) steer(time int64, parts ...func() bool) {
	s.steered = append(s.steered, steering{s.now + time, parts})
}

// steerOn is called after every step.
func (s *simulation) steerOn() {
	kept := 0
	for i := range s.steered {
		st := s.steered[i]
		for len(st.parts) > 0 && !s.stopped() && st.parts[0]() {
			st.parts = st.parts[1:]
		}
		if len(st.parts) > 0 && s.now < st.until {
			s.steered[kept] = st
			kept++
		}
	}
	clear(s.steered[kept:])
	s.steered = s.steered[:kept]
}

// cutUntil cuts links for a time, or until the returned function is called.
func (s *simulation) cutUntil(time int64, cuts func(from, to int) bool) (mend func()) {
	cut := true
	s.cut(1, cuts)
	mend = func() {
		if cut {
			cut = false
			s.cut(-1, cuts)
		}
	}
	s.undoAfter(time, mend)
	return mend
}

// cutOffUntil cuts off a node.
func (s *simulation) cutOffUntil(n *node, time int64) (mend func()) {
	slot := int(n.slot)
	return s.cutUntil(time, func(from, to int) bool { return from == slot || to == slot })
}

// compactAll takes a snapshot of all that a node has applied, and drops the log
// up to there.
func (s *simulation) compactAll(n *node) {
	keep := s.set.keepEntries
	s.set.keepEntries = 0
	// The first may be one that was begun before.
	for i := 0; i < 3 && n.up && !s.stopped() && n.disk.written.snap.Metadata.Index < n.sm.applied; i++ {
		s.takeSnapshot(n)
	}
	s.set.keepEntries = keep
}

// campaigns tells a node to campaign.
func (s *simulation) campaigns(n *node) {
	s.before(n, nil)
	s.after(n, nil, n.Campaign())
}

// changing lets the leader propose changes of the membership until it takes one,
// and returns the index of its entry, 0 if it takes none.
func (s *simulation) changing(n *node, r *random) uint64 {
	for i := 0; i < 4 && n.up && s.leader() == n && !s.stopped(); i++ {
		if pending := n.Status().PendingConfIndex; pending != 0 {
			return pending
		}
		s.changeMembers(r)
	}
	return 0
}

// idle reports whether a node runs and listens.
func (n *node) idle() bool { return n.up && n.paused == 0 }
