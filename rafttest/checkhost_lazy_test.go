package rafttest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/rafttest"
)

// lazyHost does a random part of what there is to do after each input: it takes
// Readys, writes, syncs, sends, applies and acknowledges, each in its order but
// independently. What is not synced is lost in a crash.
type lazyHost struct {
	*syncHost
	rnd    *rand.Rand
	readys []raft.Ready // whose slices are copies
	// How many of readys were handed to the disk, are on it, have had their
	// promises sent, and are acknowledged; and are applied, and acknowledged so.
	saved, synced, promised, acked, applied, applyAcked int
	entry                                               int // of the one being applied
}

func lazyHosts(seed uint64) func(env *rafttest.HostEnv) (rafttest.Host, error) {
	rnd := rand.New(rand.NewPCG(seed, 5))
	return syncHosts(seed%2 == 0, func(h *syncHost) {
		l := &lazyHost{syncHost: h, rnd: rnd}
		h.drain = l.work
	})
}

func (l *lazyHost) work() {
	for range l.rnd.IntN(60) {
		if l.down {
			return
		}
		l.step(l.rnd.IntN(8))
	}
}

// step does one thing, if there is one of its kind to do.
func (l *lazyHost) step(kind int) {
	switch {
	case kind == 0 && l.rn.HasReady():
		rd := l.rn.Ready()
		l.sendMessages(rd)
		rd.MessagesAfterAppend, rd.ReadStates = slices.Clone(rd.MessagesAfterAppend), slices.Clone(rd.ReadStates)
		l.readys = append(l.readys, rd)
	case kind == 1 && l.saved < len(l.readys):
		l.check.Saved(l.readys[l.saved])
		l.saved++
	case kind == 2 && l.synced < l.saved:
		for _, rd := range l.readys[l.synced:l.saved] {
			if l.down = l.storage.Save(rd) != nil; l.down {
				return
			}
			l.synced++
		}
	case kind == 3 && l.promised < l.synced:
		l.sendPromises(l.readys[l.promised])
		l.promised++
	case kind == 4 && l.acked < l.synced:
		l.acked += 1 + l.rnd.IntN(l.synced-l.acked)
		l.ackAppend(l.readys[l.acked-1])
	case kind == 5 && l.applied < len(l.readys):
		l.applyNext()
	case kind == 6 && l.applyAcked < min(l.applied, l.acked):
		if rd := l.readys[l.applyAcked]; rd.AppliedIndex() != 0 {
			l.ackApply(rd)
		}
		l.applyAcked++
	case kind == 7:
		l.serve()
	}
}

// applyNext restores a snapshot once it is durable, or applies one entry.
func (l *lazyHost) applyNext() {
	rd := l.readys[l.applied]
	switch {
	case !raft.IsEmptySnap(rd.Snapshot):
		if l.applied >= l.synced {
			return
		}
		l.restore(rd.Snapshot)
	case l.entry < len(rd.CommittedEntries):
		l.applyOne(rd.CommittedEntries[l.entry])
		if l.entry++; l.entry < len(rd.CommittedEntries) {
			return
		}
	}
	l.keepReads(rd)
	l.applied++
	l.entry = 0
}

// However late a correct host writes, syncs, sends, applies and acknowledges, and
// whatever a crash makes it lose, it is not accused.
func TestLazyHosts(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rafttest.ExerciseHost(t, lazyHosts(seed))
		})
	}
}
