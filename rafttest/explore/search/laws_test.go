package search

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// The models of the tests keep their promises, and a broken promise is found.
func TestLaws(t *testing.T) {
	for seed := range uint64(100) {
		if err := CheckLaws(newRandomModel(rand.New(rand.NewPCG(seed, 1))), 500); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	for _, m := range []Model{grid{counters: 3, limit: 3}, peterson(false), philosophers(5, true), missionaries(), newInterned(grid{counters: 3, limit: 3})} {
		if err := CheckLaws(m, 500); err != nil {
			t.Fatalf("%s: %v", m.Identity(), err)
		}
	}
	liar := philosophers(5, false)
	liar.commute = func(_ string, a, b uint64) bool { return a != b } // neighbours share a fork
	lopsided := philosophers(5, false)
	lopsided.commute = func(_ string, a, b uint64) bool { return a < b }
	// The first two letters do not count, but they do.
	lossy := &toy{name: "lossy", initial: []string{"ab", "ba"}, steps: func(s string, step func(uint64, string)) { step(1, s+"x") }}
	flips := 0
	fickle := &toy{name: "fickle", initial: []string{"a"}, steps: func(_ string, step func(uint64, string)) {
		flips++
		step(uint64(flips), "b")
	}}
	for _, c := range []struct {
		model Model
		want  string
	}{
		{liar, "there is no action"},
		{lopsided, "other way round"},
		{coarse{lossy}, "same fingerprint"},
		{fickle, "second expansion"},
	} {
		err := CheckLaws(c.model, 500)
		if !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.model.Identity(), err, c.want)
		}
	}
}

// coarse takes all initial states for the same.
type coarse struct{ *toy }

func (m coarse) NewWorker() Worker { return m }
func (m coarse) Initial(out *Out) error {
	for i, s := range m.initial {
		out.Emit(uint64(i), []byte(s), Fingerprint{})
	}
	return nil
}
