package lincheck

import (
	"cmp"
	"math"
	"slices"
)

// witness looks whether the order by Pos explains a history. Its buffer is reused.
type witness struct{ order []*Op }

// explains reports whether the operations, in the order of their positions, are a
// legal sequence for a register that agrees with their times: then the history
// is linearizable. False means nothing.
//
// Reads come after the write at their position; an operation of unknown outcome
// without a position is taken never to have had an effect.
func (w *witness) explains(ops []Op) bool {
	w.order = w.order[:0]
	sorted := true
	for i := range ops {
		o := &ops[i]
		if o.Pos == 0 {
			if o.Outcome == Unknown {
				continue
			}
			return false
		}
		if n := len(w.order); n > 0 && before(o, w.order[n-1]) < 0 {
			sorted = false
		}
		w.order = append(w.order, o)
	}
	if !sorted {
		slices.SortStableFunc(w.order, before)
	}
	value, latest, ok := uint64(0), int64(math.MinInt64), true
	for _, o := range w.order {
		// Nothing that comes later may have returned before this was called.
		latest = max(latest, o.Call)
		if o.end() < latest {
			return false
		}
		if value, ok = o.apply(value); !ok {
			return false
		}
	}
	return true
}

func before(a, b *Op) int {
	if a.Pos != b.Pos {
		return cmp.Compare(a.Pos, b.Pos)
	}
	if a.Kind == Read != (b.Kind == Read) {
		if b.Kind == Read {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.Call, b.Call)
}
