package search_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/quorate-raft/raft/rafttest/explore/search"
)

// jugs is the puzzle: two jugs, of three and of five litres, of which one is to
// hold four. An action is one of fill, empty and pour, of either jug.
type jugs struct{}

func (jugs) Identity() string         { return "jugs v1" }
func (jugs) NewWorker() search.Worker { return jugs{} }

func (jugs) Initial(out *search.Out) error {
	s := []byte{0, 0}
	out.Emit(0, s, search.Hash(s))
	return nil
}

func (jugs) Expand(state []byte, out *search.Out) error {
	size := []byte{3, 5}
	for action := range uint64(6) {
		if !out.Want(action) {
			continue
		}
		i, next := action%2, []byte{state[0], state[1]}
		switch action / 2 {
		case 0:
			next[i] = size[i]
		case 1:
			next[i] = 0
		case 2:
			n := min(next[i], size[1-i]-next[1-i])
			next[i] -= n
			next[1-i] += n
		}
		if next[1] == 4 {
			out.Fail(action, next, errors.New("four litres"))
		}
		out.Emit(action, next, search.Hash(next))
	}
	return nil
}

func ExampleRun() {
	r, err := search.Run(context.Background(), jugs{}, search.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Violation)
	fmt.Println(r.Violation.States)
	// Output:
	// after 6 actions: four litres
	// [[0 0] [0 5] [3 2] [0 2] [2 0] [2 5] [3 4]]
}
